##! The sources of by-source.py are decided about: ten ports of each of the three.

redef Portkin::darknets = { 203.0.113.0/24 };
redef awaited = 30;

event Portkin::prediction(d: Portkin::Decision)
	{
	tell(fmt("%s %s", d$source$host, d$probed));
	}
