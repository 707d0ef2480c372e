##! The Broker backend of a cluster: the default of 8.0, a choice from 8.1 on.

@load base/misc/version

@if ( Version::at_least("8.1.0") )
@load frameworks/cluster/backend/broker
@endif
