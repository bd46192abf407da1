-- Print every object of the extension that has no COMMENT, then one line that
-- says the search was made.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION pg_warehouse;

WITH object AS (
    SELECT 'pg_catalog.pg_namespace'::regclass AS classid, n.oid, n.nspname AS name
    FROM pg_namespace AS n WHERE n.nspname = '_wh'
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, p.oid::regprocedure::text
    FROM pg_proc AS p WHERE p.pronamespace = '_wh'::regnamespace
        -- PostgreSQL makes a range type's constructors by itself.
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
                AND d.deptype = 'i')
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, c.oid::regclass::text
    FROM pg_class AS c WHERE c.relnamespace = '_wh'::regnamespace
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, t.oid::regtype::text
    FROM pg_type AS t WHERE t.typnamespace = '_wh'::regnamespace
        AND t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0
)
SELECT o.name
FROM object AS o
WHERE obj_description(o.oid, o.classid::name) IS NULL
ORDER BY o.name;

\echo searched
ROLLBACK;
