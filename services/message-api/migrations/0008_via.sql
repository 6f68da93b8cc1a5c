-- Which client protocol each message came in by. (MySQL has no ADD COLUMN IF NOT EXISTS.)
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'via') = 0,
    'ALTER TABLE messages ADD COLUMN via TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''0 a service, 1 000, 2 001, 3 002, 4 003, 5 004''',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
