-- A file goes with the last message of its owner that names it. What was uploaded before this is not
-- among those whose messages are all known, and stays.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'media' AND column_name = 'state') = 0,
    'ALTER TABLE media ADD COLUMN state TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''0: stored before mentions were kept; 1: stored; 2: on its way; 3: to be removed'', ADD KEY media_state (state, created_at)',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
-- The messages that name a file, of its owner's only.
CREATE TABLE IF NOT EXISTS media_mentions (
    media_id        CHAR(22) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    conversation_id BIGINT UNSIGNED NOT NULL,
    seq             BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (media_id, conversation_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
