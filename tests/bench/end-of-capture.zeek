##! A cluster backend keeps Zeek running when a capture is through.

event Pcap::file_done(path: string)
	{
	terminate();
	}
