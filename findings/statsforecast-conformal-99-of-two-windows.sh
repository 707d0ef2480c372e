#!/bin/bash
# statsforecast 2.1.1: the 99 % interval of ConformalIntervals as it comes leaves out more than a third of what follows.
#
# Conformal intervals are known for holding what they promise whatever the distribution. ConformalIntervals() calibrates
# on two windows, and interpolates any level between these two errors, so that 95 % and 99 % are all but the larger one
# of two: a next value lies beyond it in about one of three cases. The textbook's interval for 99 % needs 99 windows, and
# is infinite below. As a threshold for anomalies it raises forty times the alarms that it states, even on counts whose
# rate never changes. There is no warning.
#
# Seen, a constant rate of 50 an hour, 100 hours, 400 series; the 101st hour outside of the 99 % interval:
#   2 windows (as it comes): 0.38 of 1; 20 windows: 0.07 of 1
#
# Needs: python3 with venv and a package index; statsforecast==2.1.1 goes into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check statsforecast==2.1.1 2> /dev/null

cat > outside.py <<'PYTHON'
import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import HistoricAverage
from statsforecast.utils import ConformalIntervals

SERIES, HOURS = 400, 100
counts = np.random.default_rng(0).poisson(50, size=(SERIES, HOURS + 1)).astype(float)
frame = pd.DataFrame({
    "unique_id": np.repeat(np.arange(SERIES), HOURS),
    "ds": np.tile(np.arange(HOURS), SERIES),
    "y": counts[:, :HOURS].ravel(),
})

def outside(intervals):
    model = HistoricAverage(prediction_intervals=intervals)
    found = StatsForecast(models=[model], freq=1).forecast(df=frame, h=1, level=[99]).sort_values("unique_id")
    low, high = (found[f"HistoricAverage-{side}-99"].to_numpy() for side in ("lo", "hi"))
    return ((counts[:, HOURS] < low) | (counts[:, HOURS] > high)).mean()

print(f"{outside(ConformalIntervals()):.2f} {outside(ConformalIntervals(n_windows=20)):.2f}")
PYTHON
read -r two twenty < <(venv/bin/python -W ignore outside.py)
echo "2 windows (as it comes): $two of 1; 20 windows: $twenty of 1"
python3 -c "raise SystemExit(not (0.3 < $two < 0.45 and 0.02 < $twenty < 0.08))"
