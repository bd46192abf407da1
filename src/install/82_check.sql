CREATE FUNCTION _wh.check_contents() RETURNS TABLE (invariant text, subject text, problem text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_check_contents';
COMMENT ON FUNCTION _wh.check_contents() IS
    'Reads every slice and compares it with the ledger: rows, and content where its hash is known; wh_check() calls it';

-- One arm per invariant; each returns what breaks it and nothing else.
CREATE FUNCTION _wh.wh_check(deep boolean DEFAULT true) RETURNS TABLE (invariant text, subject text, problem text)
    LANGUAGE sql
    BEGIN ATOMIC
        WITH held AS (
            SELECT s.template_name, s.tenant_name, s.period_kind, s.period_start, s.period_end, s.state,
                   s.relation_schema, s.relation_name, s.method,
                   pg_catalog.format('%s.%s', s.relation_schema, s.relation_name) AS subject,
                   k.oid AS relid, k.relkind, k.relispopulated, k.relowner
            FROM _wh.slices AS s
            LEFT JOIN (pg_catalog.pg_class AS k
                       JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace)
              ON n.nspname OPERATOR(pg_catalog.=) s.relation_schema
             AND k.relname OPERATOR(pg_catalog.=) s.relation_name),
        shown AS (
            SELECT v.template_name, v.tenant_name,
                   pg_catalog.format('%s.%s', v.view_schema, v.view_name) AS subject,
                   k.oid AS relid, k.relowner
            FROM _wh.published_views AS v
            LEFT JOIN (pg_catalog.pg_class AS k
                       JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace)
              ON n.nspname OPERATOR(pg_catalog.=) v.view_schema
             AND k.relname OPERATOR(pg_catalog.=) v.view_name),
        arms AS (
            SELECT DISTINCT r.ev_class AS viewid, k.oid AS relid, k.relkind
            FROM pg_catalog.pg_rewrite AS r
            JOIN pg_catalog.pg_depend AS d
              ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::regclass
             AND d.objid OPERATOR(pg_catalog.=) r.oid
             AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) d.refobjid
            WHERE r.ev_class OPERATOR(pg_catalog.<>) k.oid
              AND r.ev_class IN (SELECT shown.relid FROM shown)),
        wanted AS (
            SELECT v.relid AS viewid, h.relid, h.subject
            FROM shown AS v
            JOIN held AS h ON h.template_name OPERATOR(pg_catalog.=) v.template_name
                          AND h.tenant_name OPERATOR(pg_catalog.=) v.tenant_name
            WHERE h.relispopulated AND h.state OPERATOR(pg_catalog.<>) 'empty'
            UNION ALL
            SELECT v.relid, h.relid, h.subject
            FROM shown AS v
            JOIN held AS h ON h.template_name OPERATOR(pg_catalog.=) v.template_name
            WHERE v.tenant_name OPERATOR(pg_catalog.=) ''
              AND h.period_kind OPERATOR(pg_catalog.=) 'whole'
              AND h.relispopulated AND h.state OPERATOR(pg_catalog.<>) 'empty'
            UNION ALL
            SELECT v.relid, t.relid, t.subject
            FROM shown AS v
            JOIN shown AS t ON t.template_name OPERATOR(pg_catalog.=) v.template_name
            WHERE v.tenant_name OPERATOR(pg_catalog.=) ''
              AND t.tenant_name OPERATOR(pg_catalog.<>) ''
              AND t.relid IS NOT NULL)

        SELECT 'once', spans.subject,
               pg_catalog.format('begins on %s, and a slice before it ends after that',
                                 spans.period_start)
        FROM (SELECT h.subject, h.period_start,
                     pg_catalog.max(h.period_end) OVER (
                         PARTITION BY h.template_name, h.tenant_name
                         ORDER BY h.period_start USING OPERATOR(pg_catalog.<),
                                  h.period_end USING OPERATOR(pg_catalog.>)
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last_end
              FROM held AS h) AS spans
        WHERE spans.last_end OPERATOR(pg_catalog.>) spans.period_start
        UNION ALL
        SELECT 'once', h.subject, pg_catalog.format('is %s slices at once', pg_catalog.count(*))
        FROM held AS h
        GROUP BY h.subject
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1

        UNION ALL
        SELECT 'relation', h.subject,
               CASE WHEN h.relid IS NULL THEN 'lost: it was dropped or moved outside'
                    ELSE 'lost: another kind of relation has its name' END
        FROM held AS h
        WHERE h.state OPERATOR(pg_catalog.<>) 'empty'
          AND (h.relid IS NULL OR h.relkind NOT IN ('m', 'r', 'v')
               OR (h.relkind OPERATOR(pg_catalog.=) 'v') OPERATOR(pg_catalog.<>)
                  COALESCE(h.method OPERATOR(pg_catalog.=) 'live', false))

        UNION ALL
        SELECT 'populated', h.subject, 'holds no rows since a restore or a REFRESH ... WITH NO DATA: SELECT _wh.rebuild_entire_warehouse(lost_only => true);'
        FROM held AS h
        WHERE h.state OPERATOR(pg_catalog.<>) 'empty' AND NOT h.relispopulated

        UNION ALL
        SELECT 'orphan', pg_catalog.format('%s.%s', n.nspname, k.relname),
               'is made by a template of ours and not in the ledger: no view shows it'
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_rewrite AS r ON r.oid OPERATOR(pg_catalog.=) d.objid
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) r.ev_class
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::regclass
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::regclass
          AND d.refobjid OPERATOR(pg_catalog.=) '_wh.fetch(text, text, date)'::regprocedure
          AND k.relkind OPERATOR(pg_catalog.=) 'm'
          AND NOT EXISTS (SELECT FROM held AS h WHERE h.relid OPERATOR(pg_catalog.=) k.oid)
          AND NOT EXISTS (SELECT FROM _wh.retired_relations AS gone
                          WHERE gone.relation_schema OPERATOR(pg_catalog.=) n.nspname
                            AND gone.relation_name OPERATOR(pg_catalog.=) k.relname)
          AND EXISTS (
            SELECT FROM _wh.mv_templates AS t, _wh.tenant_connections AS c
            WHERE pg_catalog.strpos(pg_catalog.pg_get_viewdef(k.oid),
                                    pg_catalog.format('(%L::text, %L::text, ', t.template_name, c.tenant_key))
                  OPERATOR(pg_catalog.>) 0)
        UNION ALL
        -- A table's mark is the comment that the roll-up gave it.
        SELECT 'orphan', pg_catalog.format('%s.%s', n.nspname, k.relname),
               'is rolled up from a template of ours and not in the ledger: no view shows it'
        FROM pg_catalog.pg_class AS k
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        JOIN pg_catalog.pg_description AS d
          ON d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass
         AND d.objoid OPERATOR(pg_catalog.=) k.oid
         AND d.objsubid OPERATOR(pg_catalog.=) 0
        WHERE k.relkind OPERATOR(pg_catalog.=) 'r'
          AND n.nspname IN (SELECT c.schema_name FROM _wh.tenant_connections AS c)
          AND NOT EXISTS (SELECT FROM held AS h WHERE h.relid OPERATOR(pg_catalog.=) k.oid)
          AND NOT EXISTS (SELECT FROM _wh.retired_relations AS gone
                          WHERE gone.relation_schema OPERATOR(pg_catalog.=) n.nspname
                            AND gone.relation_name OPERATOR(pg_catalog.=) k.relname)
          AND EXISTS (
            SELECT FROM _wh.mv_templates AS t
            WHERE d.description OPERATOR(pg_catalog.^@) pg_catalog.format('Template "%s" of tenant "', t.template_name)
              AND d.description OPERATOR(pg_catalog.~) '; rolled up by pg_warehouse$')

        UNION ALL
        SELECT 'owner', owned.subject,
               pg_catalog.format('belongs to role "%s", not to the owner of the warehouse',
                                 pg_catalog.pg_get_userbyid(owned.relowner))
        FROM (SELECT h.subject, h.relowner FROM held AS h
              UNION ALL
              SELECT v.subject, v.relowner FROM shown AS v) AS owned
        CROSS JOIN _wh.settings
        WHERE pg_catalog.pg_get_userbyid(owned.relowner) OPERATOR(pg_catalog.<>) settings.owner_role

        UNION ALL
        SELECT 'view', v.subject, 'was dropped outside'
        FROM shown AS v
        WHERE v.relid IS NULL
        UNION ALL
        -- A view over a foreign table of ours finds its slices by itself.
        SELECT 'view', v.subject,
               pg_catalog.format('does not show %s', w.subject)
        FROM shown AS v
        JOIN wanted AS w ON w.viewid OPERATOR(pg_catalog.=) v.relid
        WHERE NOT EXISTS (SELECT FROM arms AS a
                          WHERE a.viewid OPERATOR(pg_catalog.=) v.relid
                            AND (a.relid OPERATOR(pg_catalog.=) w.relid
                                 OR a.relkind OPERATOR(pg_catalog.=) 'f'))
        UNION ALL
        SELECT 'view', v.subject,
               pg_catalog.format('shows %s, which is no slice of it', a.relid::regclass)
        FROM shown AS v
        JOIN arms AS a ON a.viewid OPERATOR(pg_catalog.=) v.relid
        WHERE a.relkind OPERATOR(pg_catalog.<>) 'f'
          AND NOT EXISTS (SELECT FROM wanted AS w
                          WHERE w.viewid OPERATOR(pg_catalog.=) v.relid
                            AND w.relid OPERATOR(pg_catalog.=) a.relid)

        UNION ALL
        SELECT 'run', pg_catalog.format('run %s', r.run_id),
               pg_catalog.format('lost: it says %s and its backend is gone', r.status)
        FROM _wh.v_open_runs AS r
        WHERE r.lost AND r.kind OPERATOR(pg_catalog.<>) 'sync'

        UNION ALL
        SELECT c.invariant, c.subject, c.problem
        FROM _wh.check_contents() AS c
        WHERE deep;
    END;
COMMENT ON FUNCTION _wh.wh_check(boolean) IS
    'What breaks an invariant of the warehouse, a row each; no row when nothing is lost (deep => false reads no slice)';
