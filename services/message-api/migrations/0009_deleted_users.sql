-- A deleted account keeps its row, so that its name stays taken and what it wrote stays its own.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'deleted_at') = 0,
    'ALTER TABLE users ADD COLUMN deleted_at DATETIME(3) NULL COMMENT ''its password is erased then''',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
