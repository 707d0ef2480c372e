# @TEST-DOC: From its second port on a source is asked about with its history, where the table has a model; the answer is its alone. Its first port is asked for as ever, and so is all with by_source=F or a table without a model.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >asked
# @TEST-EXEC: zeek-cut kind src probed predicted chances predicted_by answer table_id <portkin.log | grep DECISION | sort >>asked
# @TEST-EXEC: btest-diff asked

@load base/frameworks/config
@load portkin

module Portkin;

redef sidecar_expected = T;
redef sidecar_wait = 0sec;

const one = Source($host=198.51.100.9);
const other = Source($host=198.51.100.10);

global seconds_ago = 100sec;

# Each probe comes 1.5 seconds after the one before.
function scans(source: Source, p: port)
	{
	seconds_ago -= 1500msec;
	decide(source, 192.0.2.1, p, TRW, F, network_time() - seconds_ago);
	}

function show(what: string)
	{
	local questions: vector of string = vector();

	for ( reqid, asked in open_requests )
		questions += fmt("port %s", asked$p);

	for ( id, about in open_source_requests )
		questions += fmt("source at %s", about$p);

	print fmt("%s: %s", what, |questions| == 0 ? "nothing is asked" : join_string_vec(sort(questions, strcmp), ", "));

	if ( one in histories )
		{
		local h = histories[one];
		print fmt("  %s of %d in %.3f s", recent_ports(h), probed_ports(h), interval_to_double(h$latest - h$first));
		}
	}

function answer_all()
	{
	for ( reqid, asked in open_requests )
		event nearest_response(reqid, asked$p, "T1", vector(1/tcp), vector(0.1), "");

	for ( id, about in open_source_requests )
		event source_response(id, "T1", vector(2/tcp, 3/tcp), vector(0.9, 0.8), T, "");
	}

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, T);
			break;
		case 3:
			scans(one, 23/tcp);
			show("first port");
			answer_all();
			break;
		case 5:
			scans(one, 23/tcp);
			show("the same port again");
			scans(one, 80/tcp);
			show("second port");
			answer_all();
			break;
		case 7:
			print fmt("of one port %d answers are kept: %s", |cache|, known(80/tcp));
			# Late, or nobody's: of no use to anybody.
			event source_response("S1", "T1", vector(4/tcp), vector(0.7), T, "");
			scans(other, 80/tcp);
			show("another source at that port");
			answer_all();
			break;
		case 9:
			scans(one, 53/udp);
			scans(one, 23/tcp);
			scans(one, 8080/tcp);
			show("a port again, and others");
			# The table was replaced while the question was open.
			for ( reqid in open_source_requests )
				event source_response(reqid, "T2", vector(5/tcp), vector(0.6), F, "");
			break;
		case 11:
			event table_changed("T2", 16, F);
			break;
		case 13:
			scans(one, 81/tcp);
			show("a table without a model");
			answer_all();
			event table_changed("T1", 16, T);
			break;
		case 16:
			Option::set("Portkin::by_source", F);
			scans(one, 82/tcp);
			show("by_source=F");
			answer_all();
			break;
		case 18:
			Option::set("Portkin::by_source", T);
			Option::set("Portkin::max_open_by_source", 1);
			scans(one, 83/tcp);
			scans(one, 84/tcp);
			show("one question at a time");
			answer_all();
			break;
		case 20:
			show("in the end");
			return;
		}

	event round(n + 1);
	}

event network_time_init()
	{
	event round(1);
	}
