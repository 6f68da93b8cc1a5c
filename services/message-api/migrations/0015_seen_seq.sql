-- How far each user has seen each conversation, as the seq of a message: two messages may be of one
-- millisecond. What was there when this column came counts as seen by whoever had a mark.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'read_marks' AND column_name = 'seen_seq') = 0,
    'ALTER TABLE read_marks ADD COLUMN seen_seq BIGINT UNSIGNED NULL COMMENT ''only ever moves forward; NULL: only the time is known''',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
UPDATE read_marks r JOIN conversations c ON c.id = r.conversation_id
SET r.seen_seq = c.head WHERE r.seen_seq IS NULL;
