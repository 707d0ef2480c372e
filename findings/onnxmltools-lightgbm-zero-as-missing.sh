#!/bin/bash
# onnxmltools 1.16.0: a LightGBM model that was trained with `zero_as_missing` forecasts otherwise in ONNX where a count is 0.
#
# With zero_as_missing, LightGBM sends a feature of 0 to the side of each split that training chose for missing values.
# ONNX trees know NaN as missing and nothing else. The conversion takes the splits over as they are, without a word, so
# that a 0 is compared as a number. Series of probes of rare ports are mostly zeros. All other values give the same
# forecast, so a comparison on a few busy hours finds nothing. Give LightGBM NaN instead of 0, without the option.
#
# Seen (lightgbm 4.7.0, onnxmltools 1.16.0, onnxruntime 1.32.0), a target that is 5 where the feature is 0:
#   feature 0: LightGBM 5.0, ONNX 4.1; feature 1: LightGBM 1.0, ONNX 1.0
#
# Needs: python3 with venv and a package index; the packages go into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check onnxmltools==1.16.0 lightgbm==4.7.0 onnxruntime==1.32.0 \
    onnx==1.23.2 scikit-learn==1.9.1 2> /dev/null

cat > zero.py <<'PYTHON'
import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

random = np.random.default_rng(0)
counts = np.maximum(0, random.normal(0, 1, size=(3000, 2))).astype(np.float32)
target = np.where(counts[:, 0] > 0, counts[:, 0], 5.0)
model = lightgbm.train(
    {"objective": "regression", "zero_as_missing": True, "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 0},
    lightgbm.Dataset(counts, target), num_boost_round=50,
)
converted = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 2]))])
session = onnxruntime.InferenceSession(converted.SerializeToString())
texts = []
for feature in (0, 1):
    row = np.array([[feature, 1]], np.float32)
    ours, theirs = model.predict(row)[0], session.run(None, {"x": row})[0].item()
    texts.append(f"feature {feature}: LightGBM {ours:.1f}, ONNX {theirs:.1f}")
print("; ".join(texts))
PYTHON
seen=$(venv/bin/python -W ignore zero.py)
echo "$seen"
[ "$seen" = "feature 0: LightGBM 5.0, ONNX 4.1; feature 1: LightGBM 1.0, ONNX 1.0" ]
