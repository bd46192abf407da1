-- Nobody but the installer may call anything until _wh.setup() grants it.
REVOKE ALL ON SCHEMA _wh FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA _wh FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA _wh FROM PUBLIC;
