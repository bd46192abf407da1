-- The document's unified table: submissions joined with their persons, as a
-- derived template over the service's own tables; run by the owner of the
-- warehouse.  The document drops the table and makes it anew; this one is there
-- at every moment, and only rows that differ are written.
SELECT _wh.add_template('GRARentalDataCollection_unified',
    $$SELECT s."__id", s.submitted_at, s.building, s."person_details@odata.navigationLink",
             count(p."__id") AS persons, string_agg(p.full_name, ', ' ORDER BY p."__id") AS person_names,
             '<b>' || s.building || '</b>' AS building_html
      FROM odk.submissions AS s
      LEFT JOIN odk.person_details AS p ON p.submission = s."__id"
      GROUP BY s."__id"$$,
    indexes => 'CREATE UNIQUE INDEX ON {schema}.{view_name} ("__id")',
    materialization => 'snapshot', source => 'local', key_columns => '{__id}', tenants => '{central}');
