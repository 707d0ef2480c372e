##! Portkin: after one probe, know the ports that come next.
##!
##! Loading this watches, predicts and logs what would be blocked (shadow mode).
##! What opens a port, blocks or raises notices is a load of its own:
##! ``portkin/websocket`` lets the sidecar in, ``portkin/broker`` does so over
##! Broker.

@load ./link-layers
@load ./config
@load ./api
@load ./sources
@load ./log
@load ./request
@load ./decision
@load ./scanners
@load ./detection
@load ./known-services
@load ./status

@if ( Cluster::is_enabled() )
@load ./cluster
@load ./cluster-sidecar
@else
@load ./standalone
@endif
