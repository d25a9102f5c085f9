-- Whether an agent declared a call private: then no list shows the end of its number.
ALTER TABLE calls ADD COLUMN private BOOLEAN NOT NULL DEFAULT FALSE;
