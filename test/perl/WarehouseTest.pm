# What the TAP tests share: a throw-away certificate authority, a tenant
# server that speaks TLS and scram like a production one, and a warehouse.
package WarehouseTest;

use strict;
use warnings;

use Cwd 'abs_path';
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(scratch_dir make_ca tenant_node warehouse_node tenant_database
  add_tenant poll refresh_sql loopback_node loopback_tenant);

# A folder that goes with the test; servers need its whole path.
sub scratch_dir
{
	return abs_path(PostgreSQL::Test::Utils::tempdir());
}

# Make a certificate authority and a certificate for host "localhost" in
# $dir; return the authority's file.
sub make_ca
{
	my ($dir) = @_;
	my @quiet = ('-batch');

	system_or_bail('openssl', 'req', @quiet, '-x509', '-newkey', 'rsa:2048', '-nodes',
		'-days', '1000', '-subj', '/CN=pg_warehouse test CA',
		'-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
	system_or_bail('openssl', 'req', @quiet, '-newkey', 'rsa:2048', '-nodes',
		'-subj', '/CN=localhost',
		'-keyout', "$dir/server.key", '-out', "$dir/server.csr");
	append_to_file("$dir/ext", "subjectAltName=DNS:localhost\n");
	system_or_bail('openssl', 'x509', '-req', '-in', "$dir/server.csr", '-days', '1000',
		'-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial',
		'-extfile', "$dir/ext", '-out', "$dir/server.crt");
	chmod 0600, "$dir/server.key";

	return "$dir/ca.crt";
}

# Start a server that reaches us by TCP, TLS and scram only (and by its
# socket for the test itself), with role wh_src.
sub tenant_node
{
	my ($name, $dir, $password) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', qq{
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
password_encryption = 'scram-sha-256'
});
	unlink $node->data_dir . '/pg_hba.conf';
	$node->append_conf('pg_hba.conf', qq{
local   all all              trust
hostssl all all 127.0.0.1/32 scram-sha-256
});
	$node->start;
	$node->safe_psql('postgres', qq{CREATE ROLE wh_src LOGIN PASSWORD '$password'});

	return $node;
}

# Make a database at the tenant with a table foodlogs of $rows rows, one every
# two hours from 2024-01-01 on.
sub tenant_database
{
	my ($node, $database, $rows) = @_;

	$node->safe_psql('postgres', qq{CREATE DATABASE $database});
	$node->safe_psql($database, qq{
CREATE TABLE foodlogs (id bigint PRIMARY KEY, logged_time timestamptz NOT NULL, store text, amount numeric(10,2));
INSERT INTO foodlogs SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours', 'store ' || i % 3, i * 1.25
FROM generate_series(0, $rows - 1) AS i;
GRANT SELECT ON foodlogs TO wh_src});

	return;
}

# Start a warehouse: the extension set up, a key, and template foodlogstats.
sub warehouse_node
{
	my ($name, $ca, %more) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => $more{install_path});
	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);

	my $key = abs_path($node->basedir) . '/pg_warehouse.key';

	$node->append_conf('postgresql.conf', qq{
session_preload_libraries = 'pg_warehouse'
pg_warehouse.sslrootcert = '$ca'
pg_warehouse.key_file = '$key'
});
	$node->append_conf('postgresql.conf', $more{conf}) if $more{conf};
	$node->start;
	$node->safe_psql('postgres', q{
CREATE EXTENSION pg_warehouse;
SET client_min_messages = warning;
SELECT _wh.setup(preload => false);
SELECT _wh.create_key();
SELECT _wh.add_template('foodlogstats',
    $$SELECT id, logged_time, store, amount FROM foodlogs
      WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text, amount numeric(10,2)',
    $$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id)$$,
    time_column => 'logged_time', key_columns => '{id}')});

	return $node;
}

# Add a tenant as the owner would, its password by COPY.
sub add_tenant
{
	my ($warehouse, $tenant, $node, $database, $password, %more) = @_;
	my $port = $node->port;
	my $host = $more{host} // 'localhost';
	my $zone = $more{time_zone} // 'UTC';

	$warehouse->safe_psql('postgres', qq{
SET ROLE whadmin;
SELECT _wh.add_tenant('$tenant', '$host', '$database', 'wh_src', $port, time_zone => '$zone');
COPY _wh.tenant_password_entry FROM STDIN;
$tenant\t$password
\\.
});

	return;
}

# Start a warehouse whose tenants are databases of its own, read over its
# socket: where a test is about what happens here, not on the wire.
sub loopback_node
{
	my ($name, %more) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', qq{
session_preload_libraries = 'pg_warehouse'
max_worker_processes = 16
max_connections = 40
});
	$node->append_conf('postgresql.conf', $more{conf}) if $more{conf};
	$node->start;
	$node->safe_psql('postgres', q{
CREATE EXTENSION pg_warehouse;
SET client_min_messages = warning;
SELECT _wh.setup(preload => false);
CREATE ROLE wh_src LOGIN});

	return $node;
}

# Add such a tenant; $sql makes what its database, named src_$tenant, holds.
sub loopback_tenant
{
	my ($node, $tenant, $zone, $sql) = @_;
	my ($socket, $port) = ($node->host, $node->port);

	$node->safe_psql('postgres', "CREATE DATABASE src_$tenant");
	$node->safe_psql("src_$tenant", "$sql;\nGRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_src");
	$node->safe_psql('postgres', qq{
SELECT _wh.add_tenant('$tenant', '$socket', 'src_$tenant', 'wh_src', $port,
    sslmode => 'disable', auth_method => 'trusted', time_zone => '$zone')});

	return;
}

# Wait until a query gives "t".
sub poll
{
	my ($node, $query, $message) = @_;

	Test::More::ok($node->poll_query_until('postgres', $query), $message);

	return;
}

# wh_refresh over some days as one line per unit.
sub refresh_sql
{
	my ($from, $to, $more) = @_;

	return "SELECT tenant_name, period_start, status, sqlstate FROM _wh.wh_refresh('foodlogstats',"
	  . " from_date => '$from', to_date => '$to'" . ($more // '') . ") ORDER BY 1, 2";
}

1;
