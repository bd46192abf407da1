-- Every public object has a comment.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = '_wh'::regnamespace AND p.prorettype <> 'trigger'::regtype
  AND obj_description(p.oid, 'pg_proc') IS NULL
  AND NOT EXISTS (SELECT FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid
                  WHERE t.typnamespace = '_wh'::regnamespace AND p.prorettype IN (r.rngtypid, r.rngmultitypid));
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = '_wh'::regnamespace AND c.relkind IN ('r', 'v', 'f')
  AND obj_description(c.oid, 'pg_class') IS NULL;
