# pg_warehouse: the in-database warehouse. PGXS build; `make check` and
# `make demo` do everything from a bare Debian 12 (see README.md).

EXTENSION   = pg_warehouse
EXTVERSION  = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pg_warehouse.control)
MODULE_big  = pg_warehouse
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC  = "pg_warehouse - one materialized view per template, tenant and day"

FRAGMENTS   = $(sort $(wildcard src/install/*.sql))
INSTALL_SQL = pg_warehouse--$(EXTVERSION).sql
DATA_built  = $(INSTALL_SQL)
DATA        = $(wildcard src/install/upgrade/*.sql)

# The setup test makes the roles and the extension that the others use.
REGRESS     = setup $(filter-out setup,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --inputdir=.

PG_CPPFLAGS = -I$(libpq_srcdir)
SHLIB_LINK  = $(libpq) -lsodium -lcares
EXTRA_CLEAN = $(INSTALL_SQL)

PG_CONFIG  ?= pg_config
PGXS       := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(INSTALL_SQL): $(FRAGMENTS) pg_warehouse.control
	cat $(FRAGMENTS) > $@
