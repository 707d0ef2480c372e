##! What a source is: an address within its network. Networks may overlap: where
##! a connection key with a context is loaded (VLAN, VXLAN or GENEVE VNI), the
##! same address in two contexts is two hosts.

module Portkin;

export {
	## A source of traffic.
	type Source: record {
		## Its address.
		host: addr;
		## The context of its connection key, as ``vlan=10``; empty where there
		## is none.
		context: string &default="";
	};

	## The originator of a connection as a source.
	##
	## id: the connection, with its context.
	global source_of: function(id: conn_id): Source;

	## A source as text, for messages.
	##
	## source: the source.
	global describe: function(source: Source): string;
}

# Whichever context is loaded: its fields are not known here. cat() writes them as
# [vlan=10, inner_vlan=<uninitialized>].
function context_of(ctx: conn_id_ctx): string
	{
	local set_fields: string_vec = vector();

	for ( _, field in split_string(cat(ctx)[1 : -1], /, /) )
		if ( |field| > 0 && /=<uninitialized>$/ !in field )
			set_fields += field;

	return join_string_vec(set_fields, ",");
	}

function source_of(id: conn_id): Source
	{
	# Most sites have no contexts, and pay nothing for those that have.
	if ( ConnKey::factory == ConnKey::CONNKEY_FIVETUPLE )
		return Source($host=id$orig_h);

	return Source($host=id$orig_h, $context=context_of(id$ctx));
	}

function describe(source: Source): string
	{
	return source$context == "" ? cat(source$host) : fmt("%s (%s)", source$host,
	    source$context);
	}
