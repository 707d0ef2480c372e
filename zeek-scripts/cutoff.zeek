##! Refuses a cut-off that is none: at start, and when it is changed.

@load base/frameworks/config
@load base/frameworks/reporter
@load ./config

module Portkin;

# Why a cut-off is none; empty where it is one.
function wrong_min_chance(value: double): string
	{
	if ( value == -1.0 || ( 0.0 <= value && value <= 1.0 ) )
		return "";

	return fmt("Portkin::min_chance = %s: choose a chance between 0 and 1, or -1 for the one that the table recommends",
	    value);
	}

function check_min_chance(id: string, value: double): double
	{
	local wrong = wrong_min_chance(value);

	if ( wrong == "" )
		return value;

	Reporter::error(fmt("portkin: %s; it stays %s", wrong, min_chance));
	return min_chance;
	}

event zeek_init() &priority=10
	{
	local wrong = wrong_min_chance(min_chance);

	if ( wrong != "" )
		Reporter::fatal(fmt("portkin: %s", wrong));

	Option::set_change_handler("Portkin::min_chance", check_min_chance);
	}
