-- The Django database as a bridge and as a tenant, run as postgres on the
-- analytics server: psql -v host=... -v port=...  It speaks no TLS, so sslmode
-- says so; metricsuser is the dashboard.
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION pg_warehouse;
SELECT _wh.setup(reader_role => 'metricsuser', preload => false);
SELECT _wh.create_key();

-- Foreign tables and queries per loan look far dearer to the planner than they
-- are: compiling them would take longer than running them.
ALTER DATABASE :"DBNAME" SET jit = off;

-- For live reads: postgres_fdw, the owner's mapping only.
SELECT _wh.create_bridge('django_db', :'host', 'django_production', 'readonly_user', :port,
    tables => '{accounts_customuser,ajo_ajouser,loans_ajoloan}', options => '{"sslmode": "disable"}');
SELECT _wh.rotate_password('django_db', 'readonly_password');

-- For what is copied: libpq, the password sealed.
SELECT _wh.add_tenant('seedsmetrics', :'host', 'django_production', 'readonly_user', :port, sslmode => 'disable',
    description => 'the Django application');
SELECT _wh.set_tenant_password('seedsmetrics', 'readonly_password');
