/*
 * tenant.h
 *		_wh.tenant_connections: one row per remote database.
 */
#ifndef WH_TENANT_H
#define WH_TENANT_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct WhTenant
{
	char	   *name;
	char	   *key;			/* the first name; never changes */
	char	   *schema;
	char	   *host;
	int			port;
	char	   *dbname;
	char	   *username;
	char	   *sslmode;
	char	   *sslrootcert;	/* NULL: the setting, else libpq's default */
	char	   *sslcert;		/* NULL: none */
	char	   *sslkey;			/* NULL: none */
	char	   *auth_method;	/* password, certificate, trusted */
	char	   *time_zone;
	int			max_connections;
	Jsonb	   *options;
	bool		enabled;
	char	   *description;
	char	   *server;			/* set for a bridge, whose password is in the
								 * owner's user mapping of that name */
} WhTenant;

/*
 * Look a tenant up, as the current user, who has become the owner; the
 * result is in CurrentMemoryContext.  Unknown: 42704 with HINT
 * _wh.add_tenant(), or NULL from the _find form.  The _by_key form is what MV
 * bodies use.
 */
extern WhTenant *wh_tenant(const char *name);
extern WhTenant *wh_tenant_find(const char *name);
extern WhTenant *wh_tenant_by_key(const char *key);

/* Enabled tenants, or all, in order of name; NIL when there is none. */
extern List *wh_tenants_enabled(void);	/* of WhTenant * */
extern List *wh_tenants_all(void);

/*
 * Throw unless the row may be stored: 22023 for a value, 42501 when "trusted"
 * (a superuser) would be needed, 0A000 for what is not built yet.  "old" is
 * the row that it replaces, NULL for a new one.
 */
extern void wh_tenant_check(const WhTenant *tenant, const WhTenant *old,
							bool trusted);

/*
 * Throw 42710 when another tenant has the name, the name as its key, or the
 * schema.  "self" is left out; NULL for a new tenant.
 */
extern void wh_tenant_check_free(const char *name, const char *schema,
								 const WhTenant *self);

/*
 * Write the row as the installer.  The update leaves name, key and schema,
 * which are wh_tenant_rename()'s.
 */
extern void wh_tenant_insert(const WhTenant *tenant);
extern void wh_tenant_update(const WhTenant *tenant);
extern void wh_tenant_rename(const WhTenant *tenant, const char *new_name,
							 const char *new_schema);
extern void wh_tenant_delete(const WhTenant *tenant);

#endif							/* WH_TENANT_H */
