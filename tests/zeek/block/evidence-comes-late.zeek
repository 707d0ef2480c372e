# @TEST-DOC: Evidence that comes while the sidecar is asked, or after its answer, makes Zeek ask again for a predicted port; where none is new it does not.
#
# @TEST-EXEC: zeek -b "%INPUT" >asked
# @TEST-EXEC: btest-diff asked

@load portkin
@load portkin/block

module Portkin;

redef darknets += { 203.0.113.0/24 };

global decision = Decision($id="D1", $source=Source($host=198.51.100.10), $probed=22/tcp,
    $evidence=DARKNET, $kept=vector(22/tcp, 2222/tcp), $until=double_to_time(4e9),
    $after=1);

function probes(dst: addr)
	{
	event probe(decision$source, dst, decision$probed, DARKNET);
	}

function refuse(p: port)
	{
	for ( reqid, o in open_blocks )
		if ( o$info$p == p )
			{
			print fmt("  %s with %s", p, o$evidence);
			event block_response(reqid, o$info$src, p, "vetoed", "unproven");
			}
	}

function veto_all()
	{
	refuse(22/tcp);
	refuse(2222/tcp);
	}

# What a round raises is handled before the next round, what that raises in its
# turn before the one after it.
event round(n: count)
	{
	switch ( n ) {
		case 1:
			probes(203.0.113.1);
			event block(decision, 22/tcp, 0, 1min);
			event block(decision, 2222/tcp, 1, 1min);
			break;
		case 3:
			print "one address is known";
			probes(203.0.113.2);
			veto_all();
			break;
		case 5:
			print "two are known";
			veto_all();
			break;
		case 7:
			print "nothing new";
			veto_all();
			break;
		case 9:
			print "a third comes after the answer";
			probes(203.0.113.3);
			break;
		case 12:
			veto_all();
			break;
		case 14:
			print "a fourth, when the port may not be blocked any more";
			add never_block_ports[2222/tcp];
			probes(203.0.113.4);
			break;
		case 17:
			veto_all();
			print |missed_blocks|;
			return;
	}

	event round(n + 1);
	}

event zeek_init()
	{
	sidecar_up = T;
	event round(1);
	}
