##! Reading a capture stops while an answer is awaited, so that no packet overtakes
##! it and every run is the same.

module Portkin;

export {
	## Whether a held capture may go on; ``break`` keeps it waiting.
	global may_release: hook();

	## A capture was held as long as it may be: what it waits for is given up.
	global hold_ended: hook();
}

global holding = F;

# A capture is held while a question is open. Its clock stands still then, so
# real time is looked at by an event that raises itself again.
global hold_check: event(since: time, limit: interval);

function hold(limit: interval)
	{
	if ( holding || ! reading_traces() )
		return;

	holding = T;
	suspend_processing();
	event hold_check(current_time(), limit);
	}

function go_on()
	{
	if ( ! holding )
		return;

	holding = F;
	continue_processing();
	}

# Lets a held capture go on where nothing else is awaited.
function release()
	{
	if ( hook may_release() )
		go_on();
	}
