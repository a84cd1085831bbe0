-- Organizations, people, conversations, messages, runs.
-- Tenant rows carry org_id. The application works as parley_app, which sees only the organization
-- of its transaction; what must cross organizations is a function owned by parley_system.

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    name text NOT NULL,
    profile jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, name)
);

CREATE TABLE api_keys (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    sha256 bytea NOT NULL UNIQUE,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE agents (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    name text NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, name)
);

CREATE TABLE rules (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    name text NOT NULL,
    priority int NOT NULL DEFAULT 0,
    condition text NOT NULL,
    action jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, name)
);

CREATE TABLE conversations (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    title text,
    summary text,
    metadata jsonb NOT NULL DEFAULT '{}',
    busy text NOT NULL DEFAULT 'queue' CHECK (busy IN ('queue', 'reject', 'interrupt')),
    agent text,
    -- Logs begin at different generations, so that one's cursor is no cursor of another's.
    generation int NOT NULL DEFAULT 1 + floor(random() * 1000000000)::int,
    last_seq int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversations_of_user ON conversations (org_id, user_id, updated_at DESC, id DESC);

CREATE TABLE messages (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    seq int NOT NULL,
    id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    run_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    text text NOT NULL,
    agent text,
    model text,
    reply_to uuid,
    status text NOT NULL DEFAULT 'complete' CHECK (status IN ('complete', 'stopped', 'failed')),
    client_message_id text,
    payload_sha256 bytea,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, seq),
    UNIQUE (org_id, user_id, client_message_id)
);

CREATE TABLE runs (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_id uuid NOT NULL,
    message_id uuid NOT NULL,
    message_seq int NOT NULL,
    requested_agent text,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'stopping', 'completed', 'failed', 'stopped')),
    epoch int NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz NOT NULL,
    partial text NOT NULL DEFAULT '',
    agent text,
    model text,
    answer_id uuid,
    error jsonb,
    result jsonb,
    attempts int NOT NULL DEFAULT 0,
    announced_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runs_unfinished ON runs (conversation_id, message_seq)
    WHERE state IN ('queued', 'running', 'stopping');
CREATE INDEX runs_unannounced ON runs (updated_at)
    WHERE announced_at IS NULL AND state IN ('completed', 'failed', 'stopped');
CREATE INDEX runs_by_lease ON runs (lease_until) WHERE state IN ('queued', 'running', 'stopping');

CREATE TABLE usage (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    run_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    agent text NOT NULL,
    model text NOT NULL,
    input_tokens int NOT NULL,
    output_tokens int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_of_org ON usage (org_id, created_at);

GRANT USAGE ON SCHEMA parley TO parley_app, parley_system;
GRANT SELECT ON organizations TO parley_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON users, api_keys, agents, rules, conversations, messages,
    runs, usage TO parley_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA parley TO parley_system;

-- parley.org_id is set transaction-locally; where it is not set, nothing is visible.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'api_keys', 'agents', 'rules', 'conversations',
                                'messages', 'runs', 'usage'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO parley_app
            USING (org_id = nullif(current_setting(''parley.org_id'', true), '''')::uuid)', name);
        EXECUTE format('CREATE POLICY crossing ON %I TO parley_system USING (true)', name);
    END LOOP;
    ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
    ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON organizations TO parley_app
        USING (id = nullif(current_setting('parley.org_id', true), '')::uuid);
    CREATE POLICY crossing ON organizations TO parley_system USING (true);
END $$;
