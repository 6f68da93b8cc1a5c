-- The changes that are not posts. Together with `messages` every seq from 1 to the head is there
-- exactly once.
CREATE TABLE IF NOT EXISTS changes (
    conversation_id BIGINT UNSIGNED NOT NULL,
    seq             BIGINT UNSIGNED NOT NULL,
    kind            TINYINT UNSIGNED NOT NULL COMMENT '1 edited, 2 deleted, 3 read',
    message_seq     BIGINT UNSIGNED NOT NULL COMMENT 'the place of the message that changed',
    actor_id        BIGINT UNSIGNED NOT NULL,
    created_at      DATETIME(3) NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
