-- A stand-in for ODK Central: submissions by time, and their persons.
CREATE TABLE submissions (
    "__id" text PRIMARY KEY,
    submitted_at timestamptz NOT NULL,
    building text NOT NULL,
    "person_details@odata.navigationLink" text NOT NULL
);
CREATE INDEX ON submissions (submitted_at);
CREATE TABLE person_details ("__id" text PRIMARY KEY, submission text NOT NULL, full_name text NOT NULL);
INSERT INTO submissions
SELECT 'uuid:' || i, timestamptz '2025-08-01 00:00+00' + i * interval '1 hour', 'building ' || i, 'Submissions(''uuid:' || i || ''')/person_details'
FROM generate_series(1, 122) AS i;
INSERT INTO person_details SELECT 'person:' || i, 'uuid:' || 1 + i % 122, 'person ' || i FROM generate_series(1, 498) AS i;
