##! What a site tunes. Everything declared ``option`` can be changed while Zeek
##! runs, through the configuration framework.

module Portkin;

export {
	## Destinations that are watched. Empty watches every destination.
	option protected_nets: set[subnet] = {};

	## Nets without a single host: a source that sends a first packet there is a
	## scanner at once.
	option darknets: set[subnet] = {};

	## Sources that are never judged, such as the site's own vulnerability
	## scanner.
	option exempt_nets: set[subnet] = {};

	## Destination ports on which a failed contact is no evidence.
	option exempt_ports: set[port] = {};

	## Whether sequential hypothesis testing (Jung, Paxson, Berger and
	## Balakrishnan: Fast portscan detection using sequential hypothesis
	## testing, IEEE S&P 2004) judges a source.
	option trw = T;

	## TRW, theta_0: the probability that a benign source's first contact is
	## answered.
	option trw_benign_success = 0.8;

	## TRW, theta_1: the probability that a scanner's first contact is
	## answered.
	option trw_scanner_success = 0.2;

	## TRW, alpha: the share of benign sources that may be called scanners.
	option trw_false_positive = 0.01;

	## TRW, beta: the share of scanners that must be found.
	option trw_detection = 0.99;

	## A source that fails to reach this many distinct (host, port) within
	## :zeek:see:`Portkin::failed_interval` is a scanner, whatever TRW says.
	## 0 leaves the verdict to TRW alone.
	option failed_threshold: count = 10;

	## The interval in which :zeek:see:`Portkin::failed_threshold` counts.
	option failed_interval = 5min;

	## A SYN without any answer for this long has failed. It is looked at when
	## the source sends its next first contact, so no timer runs per packet.
	## Inbound, an answer comes from the site itself, within milliseconds.
	option answer_timeout = 1sec;

	## A source that stays silent this long is forgotten, also as a scanner.
	option source_timeout = 1hr;

	## How many sources are tracked at once: the silent ones make room. So many
	## may be suspects, and so many scanners; further ones are not judged and
	## are counted in portkin.log's ``STATE_FULL`` lines.
	option max_sources: count = 200000;

	## How many contacts of one source are remembered until it is judged. One
	## that is not answered before this many further ones has failed.
	option max_contacts: count = 256;

	## The chance from which a port is predicted: that a source now at the
	## probed port probes it, within the hours that the table is made for.
	## Between 0 (nothing is cut) and 1; -1 leaves it to the table: what it
	## recommends or, where it recommends nothing, the nearest three. A table
	## without chances (``--method shortest-path``) has only numbers to go by:
	## for more or fewer than three, set this to 0, and :zeek:see:`Portkin::k`.
	option min_chance = -1.0;

	## How many ports nearest to a probed one are predicted at most.
	option k: count = 32;

	## Whether a source's further ports are predicted by what it probed before,
	## rather than by the port alone. It takes a table with a model for that,
	## which a table has only where the model was shown to find more; with any
	## other this changes nothing. A source's first port is always predicted by
	## the port, from the cache.
	option by_source = T;

	## How many questions about sources may be open at once. While so many are,
	## further ports are predicted without the source's history: the answer to
	## each of these questions is for one source alone, so that a flood of probes
	## would keep the sidecar from everything else.
	option max_open_by_source: count = 1000;

	## How long a decision holds after the last probe that caused it. The
	## paper finds no gain beyond 20,000 s (VI-B).
	option block_interval = 20000sec;

	## How many ports one source can have decisions for at a time: bounds what
	## a sweep over all ports can make us remember, and later block.
	option max_ports: count = 4096;

	## How many decisions are held at a time, of all sources together.
	option max_decisions: count = 200000;

	## How many ports are remembered, of all scanners together, to tell which
	## predictions came true.
	option max_history: count = 1000000;

	## Sources for which nothing is ever kept for blocking.
	option never_block_nets: set[subnet] = {};

	## Ports that are never kept for blocking.
	option never_block_ports: set[port] = {};

	## Whether ports on which this network was seen to offer a service may be
	## kept for blocking.
	option block_open_services = F;

	## A service not seen for this long is open no more.
	option service_timeout = 1day;

	## What is decided when the sidecar does not answer in time.
	type WithoutAnswer: enum {
		## The probed port alone is kept.
		PROBED_PORT,
		## Nothing is kept.
		NOTHING
	};

	## See :zeek:see:`Portkin::WithoutAnswer`.
	option without_answer = PROBED_PORT;

	## How long a question to the sidecar stays open.
	option request_timeout = 1sec;

	## How long a decision holds that the sidecar did not answer. It is replaced
	## sooner where an answer can be had: when the sidecar is back, and with the
	## source's next probe, no sooner than
	## :zeek:see:`Portkin::retry_interval` after the last question.
	option unanswered_interval = 1min;

	## See :zeek:see:`Portkin::unanswered_interval`.
	option retry_interval = 5sec;

	## How many questions may be open at once; further decisions are taken
	## without an answer.
	option max_open_requests: count = 10000;

	## How long reading a capture waits for the sidecar, in real time, before
	## it goes on without predictions.
	option sidecar_wait = 10sec;

	## How long the sidecar may be away, from Zeek's start or from when it left,
	## before a warning says so and why.
	option sidecar_grace = 15sec;

	## What becomes of what is kept.
	type Mode: enum {
		## It is logged.
		SHADOW,
		## It is asked for: :zeek:see:`Portkin::block` is raised.
		BLOCK
	};

	## Set by the load that carries blocks out.
	const mode = SHADOW &redef;
}
