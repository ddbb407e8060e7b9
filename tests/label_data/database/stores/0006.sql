BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE annotators (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	folded_name VARCHAR(200) NOT NULL, 
	added_us BIGINT NOT NULL, 
	CONSTRAINT pk_annotators PRIMARY KEY (id), 
	CONSTRAINT uq_annotators_folded_name UNIQUE (folded_name)
);
INSERT INTO "annotators" VALUES('315ce82c2c310154b1ee210b6a310ae4','Ann','ann',1795841342271012);
CREATE TABLE completions (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	prompt_id VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	policy TEXT NOT NULL, 
	policy_revision TEXT NOT NULL, 
	sampling TEXT NOT NULL, 
	seed BIGINT, 
	finish_reason TEXT NOT NULL, 
	added_us BIGINT NOT NULL, 
	CONSTRAINT pk_completions PRIMARY KEY (number), 
	CONSTRAINT fk_completions_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT uq_completions_id UNIQUE (id)
);
INSERT INTO "completions" VALUES(1,'afe77f1edcf228583276c695f7349bb4','63075f8946c8969e27b9abda3faf1b12','first','tiny','1','{"temperature":0.8}',0,'stop',1795841342215007);
INSERT INTO "completions" VALUES(2,'fba66b9a28e194f5b47241d5f8db3ce0','63075f8946c8969e27b9abda3faf1b12','second','tiny','1','{"temperature":0.8}',1,'stop',1795841342215007);
INSERT INTO "completions" VALUES(3,'a9e70892e1f99cfa05bbb401701cd97f','63075f8946c8969e27b9abda3faf1b12','third','tiny','1','{"temperature":0.8}',2,'stop',1795841342216013);
INSERT INTO "completions" VALUES(4,'19f8bd44e43d366e7f1b9923a88e7a9b','af1893403c4c15e1b383a48f490d1250','Two','tiny','1','{"temperature":0.8}',0,'stop',1795841342251981);
INSERT INTO "completions" VALUES(5,'b56be5c25cf41b543cb1917d0690d41c','af1893403c4c15e1b383a48f490d1250','Four','tiny','1','{"temperature":0.8}',1,'stop',1795841342251981);
CREATE TABLE cursors (
	project VARCHAR(100) NOT NULL, 
	annotator VARCHAR(32) NOT NULL, 
	place BIGINT NOT NULL, 
	turn INTEGER NOT NULL, 
	CONSTRAINT pk_cursors PRIMARY KEY (project, annotator), 
	CONSTRAINT fk_cursors_annotator FOREIGN KEY(annotator) REFERENCES annotators (id)
);
INSERT INTO "cursors" VALUES('default','315ce82c2c310154b1ee210b6a310ae4',2,2);
CREATE TABLE demonstrations (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	prompt_id VARCHAR(32) NOT NULL, 
	annotator VARCHAR(200) NOT NULL, 
	edited_from VARCHAR(32), 
	text TEXT NOT NULL, 
	submission VARCHAR(200) NOT NULL, 
	written_us BIGINT, 
	source VARCHAR(10) NOT NULL, 
	project VARCHAR(100) NOT NULL, 
	project_revision INTEGER, 
	stored_us BIGINT NOT NULL, 
	CONSTRAINT pk_demonstrations PRIMARY KEY (number), 
	CONSTRAINT fk_demonstrations_edited_from FOREIGN KEY(edited_from) REFERENCES completions (id), 
	CONSTRAINT fk_demonstrations_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT uq_demonstrations_id UNIQUE (id)
);
CREATE TABLE drafts (
	task VARCHAR(32) NOT NULL, 
	content TEXT NOT NULL, 
	edited_us BIGINT NOT NULL, 
	CONSTRAINT pk_drafts PRIMARY KEY (task), 
	CONSTRAINT fk_drafts_task FOREIGN KEY(task) REFERENCES tasks (token)
);
CREATE TABLE items (
	number INTEGER NOT NULL, 
	project VARCHAR(100) NOT NULL, 
	prompt_id VARCHAR(32) NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	done INTEGER NOT NULL, 
	leased INTEGER NOT NULL, skipped INTEGER DEFAULT '0' NOT NULL, place BIGINT, gold VARCHAR(200), 
	CONSTRAINT pk_items PRIMARY KEY (number), 
	CONSTRAINT fk_items_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT uq_items_project_prompt_id UNIQUE (project, prompt_id)
);
INSERT INTO "items" VALUES(1,'default','63075f8946c8969e27b9abda3faf1b12','ranked',1,0,0,NULL,NULL);
INSERT INTO "items" VALUES(2,'default','af1893403c4c15e1b383a48f490d1250','ready',0,1,0,2,NULL);
CREATE TABLE jobs (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	arguments TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	done INTEGER NOT NULL, 
	total INTEGER NOT NULL, 
	message TEXT NOT NULL, 
	result TEXT NOT NULL, 
	stop_asked INTEGER NOT NULL, 
	added_us BIGINT NOT NULL, 
	started_us BIGINT, 
	finished_us BIGINT, worker VARCHAR(32), project VARCHAR(100) DEFAULT '' NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (number), 
	CONSTRAINT uq_jobs_id UNIQUE (id)
);
CREATE TABLE project_revisions (
	project VARCHAR(100) NOT NULL, 
	revision INTEGER NOT NULL, 
	settings TEXT NOT NULL, 
	saved_us BIGINT NOT NULL, 
	CONSTRAINT pk_project_revisions PRIMARY KEY (project, revision)
);
INSERT INTO "project_revisions" VALUES('default',1,'{"allow_partial":false,"annotators_per_prompt":1,"ask_ratings":false,"ask_strength":true,"completions_per_prompt":4,"criteria":[],"demonstrations_join":false,"flags":["untrue","harmful","off-task","broken"],"gold_share":0,"guidelines":"Put the completion that helps the user most first: it does what was asked, what it says is true, and it harms nobody. Prefer the shorter of two that are equally good. Tie those you can''t tell apart.","lease_minutes":30,"mark_spans":false,"name":"Old","order_of_work":"added","policies":[{"base_url":"","key_name":"","kind":"transformers","max_tokens":200,"model":"packaged:SmolLM2-135M-Instruct","name":"SmolLM2-135M","system_prompt":"","temperature":0.8,"top_p":0.95}],"ready_ahead":12,"repeat_gap":20,"repeat_share":0,"retrain_every":0,"reveal_policies":false,"seed":0}',1795841342170992);
CREATE TABLE projects (
	id VARCHAR(100) NOT NULL, 
	added_us BIGINT NOT NULL, 
	next_place BIGINT NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (id)
);
INSERT INTO "projects" VALUES('default',0,3);
CREATE TABLE prompts (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	messages TEXT NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	source TEXT NOT NULL, 
	added_us BIGINT NOT NULL, licence TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_prompts PRIMARY KEY (number), 
	CONSTRAINT uq_prompts_id UNIQUE (id)
);
INSERT INTO "prompts" VALUES(1,'63075f8946c8969e27b9abda3faf1b12','[{"content":"Why is the sky blue?","role":"user"}]','','',1795841342189982,'');
INSERT INTO "prompts" VALUES(2,'af1893403c4c15e1b383a48f490d1250','[{"content":"Name a prime number.","role":"user"}]','','',1795841342233997,'');
CREATE TABLE rankings (
	number INTEGER NOT NULL, 
	submission VARCHAR(200) NOT NULL, 
	judgement_sha256 VARCHAR(64) NOT NULL, 
	prompt_id VARCHAR(32) NOT NULL, 
	annotator VARCHAR(200) NOT NULL, 
	task VARCHAR(32), 
	revises VARCHAR(200), 
	shown TEXT NOT NULL, 
	"order" TEXT NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	strength TEXT NOT NULL, 
	flags TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	seconds FLOAT, 
	started_us BIGINT, 
	submitted_us BIGINT, 
	assisted INTEGER NOT NULL, 
	source VARCHAR(10) NOT NULL, 
	project VARCHAR(100) NOT NULL, 
	project_revision INTEGER, 
	stored_us BIGINT NOT NULL, ratings TEXT DEFAULT '{}' NOT NULL, spans TEXT DEFAULT '[]' NOT NULL, purpose VARCHAR(10) DEFAULT '' NOT NULL, item INTEGER CONSTRAINT fk_rankings_item REFERENCES items (number), 
	CONSTRAINT pk_rankings PRIMARY KEY (number), 
	CONSTRAINT fk_rankings_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT fk_rankings_revises FOREIGN KEY(revises) REFERENCES rankings (submission), 
	CONSTRAINT fk_rankings_task FOREIGN KEY(task) REFERENCES tasks (token), 
	CONSTRAINT uq_rankings_revises UNIQUE (revises), 
	CONSTRAINT uq_rankings_submission UNIQUE (submission)
);
INSERT INTO "rankings" VALUES(1,'first-submission','449351e10f343fbefbb9f7086fbca35d57daa87c593d356981c869130a7c6666','63075f8946c8969e27b9abda3faf1b12','315ce82c2c310154b1ee210b6a310ae4','5ffcef9d8aef60b1df09a7cca5d228e9',NULL,'["fba66b9a28e194f5b47241d5f8db3ce0","afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]','[["fba66b9a28e194f5b47241d5f8db3ce0"],["afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]]','ranked','[2]','{}','why not',NULL,1795841342294991,1795841342314987,0,'person','default',1,1795841342314987,'{}','[]','',1);
CREATE TABLE retractions (
	submission VARCHAR(200) NOT NULL, 
	retracted_us BIGINT NOT NULL, 
	CONSTRAINT pk_retractions PRIMARY KEY (submission), 
	CONSTRAINT fk_retractions_submission FOREIGN KEY(submission) REFERENCES rankings (submission)
);
CREATE TABLE "tasks" (
	number INTEGER NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	item INTEGER NOT NULL, 
	annotator VARCHAR(32) NOT NULL, 
	shown TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	assigned_us BIGINT NOT NULL, 
	expires_us BIGINT NOT NULL, 
	project VARCHAR(100) DEFAULT 'default' NOT NULL, 
	purpose VARCHAR(10) DEFAULT '' NOT NULL, 
	counted INTEGER DEFAULT '0' NOT NULL, 
	turn INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_tasks PRIMARY KEY (number), 
	CONSTRAINT fk_tasks_item FOREIGN KEY(item) REFERENCES items (number), 
	CONSTRAINT fk_tasks_annotator FOREIGN KEY(annotator) REFERENCES annotators (id), 
	CONSTRAINT uq_tasks_token UNIQUE (token), 
	CONSTRAINT uq_tasks_item_annotator_purpose UNIQUE (item, annotator, purpose)
);
INSERT INTO "tasks" VALUES(1,'5ffcef9d8aef60b1df09a7cca5d228e9',1,'315ce82c2c310154b1ee210b6a310ae4','["fba66b9a28e194f5b47241d5f8db3ce0","afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]','done',1795841342294991,1795843142294991,'default','',1,1);
INSERT INTO "tasks" VALUES(2,'b8f0d4e81c375d923a00e6d5f669a77b',2,'315ce82c2c310154b1ee210b6a310ae4','["19f8bd44e43d366e7f1b9923a88e7a9b","b56be5c25cf41b543cb1917d0690d41c"]','open',1795841342294991,1795843142294991,'default','',0,2);
CREATE TABLE version_models (
	number INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	folder TEXT NOT NULL, 
	report_sha256 VARCHAR(64) NOT NULL, 
	summary TEXT NOT NULL, 
	trained_us BIGINT NOT NULL, 
	CONSTRAINT pk_version_models PRIMARY KEY (number), 
	CONSTRAINT fk_version_models_version FOREIGN KEY(version) REFERENCES versions (number)
);
CREATE TABLE version_rows (
	version INTEGER NOT NULL, 
	place BIGINT NOT NULL, 
	prompt_id VARCHAR(32) NOT NULL, 
	side VARCHAR(10) NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_version_rows PRIMARY KEY (version, place), 
	CONSTRAINT fk_version_rows_version FOREIGN KEY(version) REFERENCES versions (number), 
	CONSTRAINT fk_version_rows_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id)
);
CREATE TABLE versions (
	number INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	project VARCHAR(100) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	manifest TEXT NOT NULL, 
	card TEXT NOT NULL, 
	made_us BIGINT NOT NULL, 
	CONSTRAINT pk_versions PRIMARY KEY (number), 
	CONSTRAINT uq_versions_name UNIQUE (name)
);
CREATE TABLE workers (
	id VARCHAR(32) NOT NULL, 
	place TEXT NOT NULL, 
	started_us BIGINT NOT NULL, 
	seen_us BIGINT NOT NULL, 
	CONSTRAINT pk_workers PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_kind ON jobs (kind);
CREATE INDEX ix_completions_prompt_id ON completions (prompt_id);
CREATE INDEX ix_items_project_state_number ON items (project, state, number);
CREATE INDEX ix_rankings_annotator ON rankings (annotator);
CREATE INDEX ix_rankings_prompt_id ON rankings (prompt_id);
CREATE UNIQUE INDEX uq_rankings_task ON rankings (task) WHERE revises IS NULL;
CREATE INDEX ix_demonstrations_prompt_id ON demonstrations (prompt_id);
CREATE TRIGGER demonstrations_no_update BEFORE UPDATE ON demonstrations BEGIN SELECT RAISE(ABORT, 'demonstrations are append-only'); END;
CREATE TRIGGER demonstrations_no_delete BEFORE DELETE ON demonstrations BEGIN SELECT RAISE(ABORT, 'demonstrations are append-only'); END;
CREATE INDEX ix_tasks_annotator_state ON tasks (annotator, state);
CREATE INDEX ix_items_project_state_place ON items (project, state, place);
CREATE INDEX ix_items_project_gold ON items (project, number) WHERE gold IS NOT NULL;
CREATE INDEX ix_tasks_open_expires_us ON tasks (expires_us) WHERE state = 'open';
CREATE INDEX ix_tasks_annotator_project_turn ON tasks (annotator, project, turn);
CREATE INDEX ix_rankings_annotator_stored_us ON rankings (annotator, stored_us);
CREATE INDEX ix_rankings_item ON rankings (item);
CREATE TRIGGER rankings_no_update BEFORE UPDATE ON rankings BEGIN SELECT RAISE(ABORT, 'rankings are append-only'); END;
CREATE TRIGGER rankings_no_delete BEFORE DELETE ON rankings BEGIN SELECT RAISE(ABORT, 'rankings are append-only'); END;
CREATE TRIGGER retractions_no_update BEFORE UPDATE ON retractions BEGIN SELECT RAISE(ABORT, 'retractions are append-only'); END;
CREATE TRIGGER retractions_no_delete BEFORE DELETE ON retractions BEGIN SELECT RAISE(ABORT, 'retractions are append-only'); END;
CREATE INDEX ix_version_models_version ON version_models (version);
CREATE TRIGGER versions_no_update BEFORE UPDATE ON versions BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER versions_no_delete BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER version_rows_no_update BEFORE UPDATE ON version_rows BEGIN SELECT RAISE(ABORT, 'version_rows are append-only'); END;
CREATE TRIGGER version_rows_no_delete BEFORE DELETE ON version_rows BEGIN SELECT RAISE(ABORT, 'version_rows are append-only'); END;
CREATE TRIGGER version_models_no_update BEFORE UPDATE ON version_models BEGIN SELECT RAISE(ABORT, 'version_models are append-only'); END;
CREATE TRIGGER version_models_no_delete BEFORE DELETE ON version_models BEGIN SELECT RAISE(ABORT, 'version_models are append-only'); END;
COMMIT;
