-- How far each user has seen each conversation: when the newest message that they saw was stored.
CREATE TABLE IF NOT EXISTS read_marks (
    user_id         BIGINT UNSIGNED NOT NULL,
    conversation_id BIGINT UNSIGNED NOT NULL,
    seen_at         DATETIME(3) NOT NULL COMMENT 'only ever moves forward',
    PRIMARY KEY (user_id, conversation_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
