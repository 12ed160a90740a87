-- Rows are counted in the snapshot that the dump reads.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump --format=custom --snapshot="$SNAPSHOT" --file="$COPY/app.dump" && : > "$COPY/dumped"
\set rows `echo "$COPY/rows"`
\set count `echo "$SCRIPTS/rows.sql"`
\o :rows
\i :count
\o
COMMIT;
