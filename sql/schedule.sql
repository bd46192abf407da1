-- Schedules need pg_cron in this database; each way that it can be missing is
-- told with its cure.  (Real jobs run in test/t/030_cron.pl.)
\set VERBOSITY default
SELECT * FROM _wh.setup_cron('foodlogstats');
\echo :SQLSTATE
SELECT * FROM _wh.remove_cron();
\echo :SQLSTATE
SELECT * FROM _wh.setup_cron('foodlogstats', time_zone => 'Europe/Vienna');
\echo :SQLSTATE
SELECT * FROM _wh.setup_cron('foodlogstats', schedule => NULL);
\echo :SQLSTATE
