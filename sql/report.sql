-- wh_report_html(): one page, well-formed, with everything that is not ours
-- escaped.  In a transaction that begins with an empty log and is undone.
\set VERBOSITY default
SELECT _wh.wh_report_html('2024-01-02', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.wh_report_html('-infinity', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.wh_report_html('2000-01-01', '2024-01-01');
\echo :SQLSTATE

\set VERBOSITY terse
BEGIN;
UPDATE _wh.mv_templates SET enabled = false;
DELETE FROM _wh.extract_runs;
-- What the page says, element by element.
CREATE FUNCTION pg_temp.found(page text, path text) RETURNS text[] LANGUAGE sql AS
$$ SELECT array_agg(btrim(x::text)) FROM unnest(xpath('/html/body' || path, page::xml)) AS x $$;

SELECT pg_temp.found(_wh.wh_report_html(), '//section[position()<6]/p/text()') AS empty;

SELECT _wh.add_template('<script>"&''', $$SELECT 1::bigint AS id, {DAY_START} AS at$$, 'id bigint, at timestamptz',
                        time_column => 'at', tenants => '{tenant_a,tenant_b}');
SELECT tenant_name, status FROM _wh.wh_refresh('<script>"&''', from_date => '2024-01-01', to_date => '2024-01-03', parallel => 0);
UPDATE _wh.tenant_connections SET port = 1 WHERE tenant_name = 'tenant_b';
SELECT tenant_name, status FROM _wh.wh_refresh('<script>"&''', from_date => '2024-01-02', to_date => '2024-01-02', parallel => 0);
UPDATE _wh.extract_runs SET error_message = E'<script>alert(1)</script>\n"&\x01 ''', error_detail = NULL, error_hint = '</table><img src=x onerror=y>' WHERE status = 'failed';

SET LOCAL ROLE wh_monitor;
SELECT _wh.wh_report_html('2024-01-01', '2024-01-10') AS page \gset
RESET ROLE;
SELECT xml_is_well_formed_document(:'page') AS well_formed,
       :'page' ~* '<(script|img|link|iframe)|url\(|https?:' AS foreign_parts;
SELECT pg_temp.found(:'page', '//h3/text()') AS calendars,
       pg_temp.found(:'page', '//div[@class="names"]/div/text()') AS names,
       pg_temp.found(:'page', '//rect/title/text()') AS rows;
SELECT pg_temp.found(:'page', '//svg/path[@class="final"]/@d') AS final, pg_temp.found(:'page', '//svg/path[@class="failed"]/@d') AS failed,
       pg_temp.found(:'page', '//svg/path[@class="missing"]/@d') AS missing;
SELECT (pg_temp.found(:'page', '//div[@class="tile"]/b//text()'))[1:8] AS tiles;
SELECT pg_temp.found(:'page', '//h2/text()') AS sections, cardinality(pg_temp.found(:'page', '//section[position()<6]//tbody/tr')) AS rows;
SELECT pg_temp.found(:'page', '//section[3]//td[position()>2]/text()') AS failures;
ROLLBACK;
