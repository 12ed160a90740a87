-- One line for each table: its name and how many rows it has.
SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || tablename, schemaname, tablename)
FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
ORDER BY schemaname COLLATE "C", tablename COLLATE "C" \gexec
