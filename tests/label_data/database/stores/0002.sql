BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE annotators (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	folded_name VARCHAR(200) NOT NULL, 
	added_us BIGINT NOT NULL, 
	CONSTRAINT pk_annotators PRIMARY KEY (id), 
	CONSTRAINT uq_annotators_folded_name UNIQUE (folded_name)
);
INSERT INTO "annotators" VALUES('1787aa7a5cb84c25ee755bb3cfd1a364','Ann','ann',1795332960669981);
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
INSERT INTO "completions" VALUES(1,'afe77f1edcf228583276c695f7349bb4','63075f8946c8969e27b9abda3faf1b12','first','tiny','1','{"temperature":0.8}',0,'stop',1795332960648013);
INSERT INTO "completions" VALUES(2,'fba66b9a28e194f5b47241d5f8db3ce0','63075f8946c8969e27b9abda3faf1b12','second','tiny','1','{"temperature":0.8}',1,'stop',1795332960648013);
INSERT INTO "completions" VALUES(3,'a9e70892e1f99cfa05bbb401701cd97f','63075f8946c8969e27b9abda3faf1b12','third','tiny','1','{"temperature":0.8}',2,'stop',1795332960649019);
INSERT INTO "completions" VALUES(4,'1300a28ddf4522cb9dbc52f67da83528','3434b967f42370e1af64d18b4f110b89','a','tiny','1','{"temperature":0.8}',0,'stop',1795332960663986);
INSERT INTO "completions" VALUES(5,'ccc8339d2f6dc3979cdbba2282d5f46a','3434b967f42370e1af64d18b4f110b89','b','tiny','1','{"temperature":0.8}',1,'stop',1795332960664992);
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
	leased INTEGER NOT NULL, 
	CONSTRAINT pk_items PRIMARY KEY (number), 
	CONSTRAINT fk_items_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT uq_items_project_prompt_id UNIQUE (project, prompt_id)
);
INSERT INTO "items" VALUES(1,'default','63075f8946c8969e27b9abda3faf1b12','ready',1,0);
INSERT INTO "items" VALUES(2,'default','3434b967f42370e1af64d18b4f110b89','ready',0,1);
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
	finished_us BIGINT, 
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
INSERT INTO "project_revisions" VALUES('default',1,'{"allow_partial":false,"annotators_per_prompt":2,"ask_strength":true,"completions_per_prompt":4,"flags":["untrue","harmful","off-task","broken"],"guidelines":"Put the completion that helps the user most first: it does what was asked, what it says is true, and it harms nobody. Prefer the shorter of two that are equally good. Tie those you can''t tell apart.","lease_minutes":30,"name":"Old","policies":[{"base_url":"","key_name":"","kind":"transformers","max_tokens":200,"model":"packaged:SmolLM2-135M-Instruct","name":"SmolLM2-135M","system_prompt":"","temperature":0.8,"top_p":0.95}],"ready_ahead":12,"seed":0}',1795332960625000);
CREATE TABLE prompts (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	messages TEXT NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	source TEXT NOT NULL, 
	added_us BIGINT NOT NULL, 
	CONSTRAINT pk_prompts PRIMARY KEY (number), 
	CONSTRAINT uq_prompts_id UNIQUE (id)
);
INSERT INTO "prompts" VALUES(1,'63075f8946c8969e27b9abda3faf1b12','[{"content":"Why is the sky blue?","role":"user"}]','','',1795332960637995);
INSERT INTO "prompts" VALUES(2,'3434b967f42370e1af64d18b4f110b89','[{"content":"天空为什么是蓝色的？","role":"user"}]','','',1795332960656985);
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
	stored_us BIGINT NOT NULL, ratings TEXT DEFAULT '{}' NOT NULL, spans TEXT DEFAULT '[]' NOT NULL, 
	CONSTRAINT pk_rankings PRIMARY KEY (number), 
	CONSTRAINT fk_rankings_prompt_id FOREIGN KEY(prompt_id) REFERENCES prompts (id), 
	CONSTRAINT fk_rankings_revises FOREIGN KEY(revises) REFERENCES rankings (submission), 
	CONSTRAINT fk_rankings_task FOREIGN KEY(task) REFERENCES tasks (token), 
	CONSTRAINT uq_rankings_revises UNIQUE (revises), 
	CONSTRAINT uq_rankings_submission UNIQUE (submission)
);
INSERT INTO "rankings" VALUES(1,'first-submission','989efe9aa2734bb8dbe542d667af8cf8aa578497cbdc6c9ad2de5d70d3eab6cb','63075f8946c8969e27b9abda3faf1b12','1787aa7a5cb84c25ee755bb3cfd1a364','f258657019147a6928c63339a0a1b1ff',NULL,'["fba66b9a28e194f5b47241d5f8db3ce0","afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]','[["fba66b9a28e194f5b47241d5f8db3ce0"],["afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]]','ranked','[2]','{"fba66b9a28e194f5b47241d5f8db3ce0":["untrue"]}','why not',4.5,1795332960690982,1795332960717013,0,'person','default',1,1795332960717013,'{}','[]');
CREATE TABLE tasks (
	number INTEGER NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	item INTEGER NOT NULL, 
	annotator VARCHAR(32) NOT NULL, 
	shown TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	assigned_us BIGINT NOT NULL, 
	expires_us BIGINT NOT NULL, 
	CONSTRAINT pk_tasks PRIMARY KEY (number), 
	CONSTRAINT fk_tasks_annotator FOREIGN KEY(annotator) REFERENCES annotators (id), 
	CONSTRAINT fk_tasks_item FOREIGN KEY(item) REFERENCES items (number), 
	CONSTRAINT uq_tasks_item_annotator UNIQUE (item, annotator), 
	CONSTRAINT uq_tasks_token UNIQUE (token)
);
INSERT INTO "tasks" VALUES(1,'f258657019147a6928c63339a0a1b1ff',1,'1787aa7a5cb84c25ee755bb3cfd1a364','["fba66b9a28e194f5b47241d5f8db3ce0","afe77f1edcf228583276c695f7349bb4","a9e70892e1f99cfa05bbb401701cd97f"]','done',1795332960690982,1795334760690982);
INSERT INTO "tasks" VALUES(2,'71be26fc256fc0caa55f840dd26fb225',2,'1787aa7a5cb84c25ee755bb3cfd1a364','["1300a28ddf4522cb9dbc52f67da83528","ccc8339d2f6dc3979cdbba2282d5f46a"]','open',1795332960694000,1795334760694000);
CREATE INDEX ix_jobs_kind ON jobs (kind);
CREATE INDEX ix_completions_prompt_id ON completions (prompt_id);
CREATE INDEX ix_items_project_state_number ON items (project, state, number);
CREATE INDEX ix_tasks_annotator_state ON tasks (annotator, state);
CREATE INDEX ix_tasks_state_expires_us ON tasks (state, expires_us);
CREATE INDEX ix_rankings_annotator ON rankings (annotator);
CREATE INDEX ix_rankings_prompt_id ON rankings (prompt_id);
CREATE UNIQUE INDEX uq_rankings_task ON rankings (task) WHERE revises IS NULL;
CREATE TRIGGER rankings_no_update BEFORE UPDATE ON rankings BEGIN SELECT RAISE(ABORT, 'rankings are append-only'); END;
CREATE TRIGGER rankings_no_delete BEFORE DELETE ON rankings BEGIN SELECT RAISE(ABORT, 'rankings are append-only'); END;
CREATE INDEX ix_demonstrations_prompt_id ON demonstrations (prompt_id);
CREATE TRIGGER demonstrations_no_update BEFORE UPDATE ON demonstrations BEGIN SELECT RAISE(ABORT, 'demonstrations are append-only'); END;
CREATE TRIGGER demonstrations_no_delete BEFORE DELETE ON demonstrations BEGIN SELECT RAISE(ABORT, 'demonstrations are append-only'); END;
COMMIT;
