##! Which contacts of a source are open, until they are answered, refused or overdue.

@load ./config
@load ./sources

module Portkin;

# The contacts of one source that nobody answered yet, and those that count no
# more because they were counted.
type Tracker: record {
	# Since when, the oldest first.
	pending: table[addr, port] of time &default=table() &ordered;
	counted: set[addr, port] &default=set();
	last: time;
};

# In two generations: when the younger one is full it becomes the older, and those
# that stayed silent since go. So memory is bounded, and however many clients
# there are, a source that sends now is tracked.
global trackers: table[Source] of Tracker = table();
global older_trackers: table[Source] of Tracker = table();

function is_tracked(source: Source): bool
	{
	return source in trackers || source in older_trackers;
	}

# The tracker of a source that is tracked.
function tracker_of(source: Source): Tracker
	{
	return source in trackers ? trackers[source] : older_trackers[source];
	}

function forget_tracker(source: Source)
	{
	delete trackers[source];
	delete older_trackers[source];
	}

# The tracker of a source that sends now, a new one where it was silent too long.
function track(source: Source): Tracker
	{
	local now = network_time();
	local t: Tracker;

	if ( source in trackers )
		{
		t = trackers[source];

		if ( now - t$last < source_timeout )
			{
			t$last = now;
			return t;
			}

		delete trackers[source];
		}

	t = Tracker($last=now);

	if ( source in older_trackers )
		{
		if ( now - older_trackers[source]$last < source_timeout )
			t = older_trackers[source];

		t$last = now;
		delete older_trackers[source];
		}

	if ( |trackers| >= ( max_sources + 1 ) / 2 )
		{
		older_trackers = trackers;
		trackers = table();
		}

	trackers[source] = t;
	return t;
	}

# Whether a contact was open, and closes it.
function close_contact(source: Source, dst: addr, p: port): bool
	{
	if ( ! is_tracked(source) )
		return F;

	local t = tracker_of(source);

	if ( [dst, p] !in t$pending )
		return F;

	delete t$pending[dst, p];
	return T;
	}
