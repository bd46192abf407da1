/*
 * pause.c
 *		_wh.pauses: templates and tenants for which scheduled work stands still.
 *
 * A pause is somebody's decision, so it outlives a dump, and only a person ends
 * it.  It is no property of the template or tenant: what is paused is enabled,
 * is shown, and is late when its time has come.  An empty name is every one.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pause.h"
#include "spi.h"

#define PAUSE_COLUMNS \
	"SELECT NULLIF(template_name, ''), NULLIF(tenant_name, ''), paused_at," \
	" paused_by FROM _wh.pauses"

static void *read_pause(uint64 row);

/*
 * Find the pause of a pair; see pause.h.
 */
WhPause *
wh_pause_of(const char *template_name, const char *tenant)
{
	WhArg		args[] = {wh_text(template_name), wh_text(tenant)};
	List	   *found = wh_spi_list(PAUSE_COLUMNS
									" WHERE template_name IN ('', $1)"
									" AND tenant_name IN ('', $2)"
									" ORDER BY paused_at LIMIT 1",
									args, lengthof(args), read_pause);

	return found == NIL ? NULL : (WhPause *) linitial(found);
}

List *
wh_pauses(void)
{
	return wh_spi_list(PAUSE_COLUMNS " ORDER BY paused_at, template_name, tenant_name",
					   NULL, 0, read_pause);
}

bool
wh_pause_put(const char *template_name, const char *tenant, const char *by)
{
	WhArg		args[] = {
		wh_text(template_name ? template_name : ""),
		wh_text(tenant ? tenant : ""),
		wh_name(by)
	};

	return wh_ledger("INSERT INTO _wh.pauses (template_name, tenant_name, paused_by)"
					 " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
					 args, lengthof(args)) > 0;
}

int64
wh_pauses_end(const char *template_name, const char *tenant)
{
	WhArg		args[] = {wh_text(template_name), wh_text(tenant)};

	return wh_ledger("DELETE FROM _wh.pauses" WH_WHERE_PAIR, args, lengthof(args));
}

char *
wh_pause_text(const char *template_name, const char *tenant)
{
	if (template_name != NULL && tenant != NULL)
		return psprintf("template \"%s\" of tenant \"%s\"", template_name, tenant);
	if (template_name != NULL)
		return psprintf("template \"%s\"", template_name);
	if (tenant != NULL)
		return psprintf("tenant \"%s\"", tenant);

	return pstrdup("everything");
}

static void *
read_pause(uint64 row)
{
	WhPause    *pause = (WhPause *) palloc(sizeof(WhPause));

	pause->template_name = wh_col_text(row, 1);
	pause->tenant_name = wh_col_text(row, 2);
	pause->paused_at = wh_col_timestamptz(row, 3, DT_NOBEGIN);
	pause->paused_by = wh_col_text(row, 4);

	return pause;
}
