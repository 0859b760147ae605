-- Makes a service's database and its two roles; run again, it changes only the passwords.
-- For psql. Variables: name. Environment: OWNER and SERVE, the files with the passwords.
\set owner_password `cat "$OWNER"`
\set serve_password `cat "$SERVE"`
select :'name' || '_owner' as owner, :'name' || '_serve' as serve \gset
select format('create role %I', role) from unnest(array[:'owner', :'serve']) as role
 where not exists (select from pg_roles where rolname = role) \gexec
alter role :"owner" login password :'owner_password';
alter role :"serve" login password :'serve_password';
select format('create database %I owner %I', :'name', :'owner')
 where not exists (select from pg_database where datname = :'name') \gexec
\connect :"name"
revoke all on database :"name" from public;
grant connect, temporary on database :"name" to :"serve";
revoke create on schema public from public;
grant all on schema public to :"owner";
grant usage on schema public to :"serve";
grant select, insert, update, delete on all tables in schema public to :"serve";
grant usage, select, update on all sequences in schema public to :"serve";
alter default privileges for role :"owner" grant select, insert, update, delete on tables to :"serve";
alter default privileges for role :"owner" grant usage, select, update on sequences to :"serve";
alter default privileges for role :"owner" grant usage on schemas to :"serve";
