##! Prints, at the end of a capture, what portkin/rates has counted of it.

module Portkin;

redef rates_interval = 36500days;
redef rates_max_ports = 200000;

event Pcap::file_done(path: string) &priority=10
	{
	for ( p, n in rates_counts )
		print fmt("%s %d", p, n);
	}
