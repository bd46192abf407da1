# pg_warehouse: the in-database warehouse.
#
# `make` and `make install` are an ordinary PGXS build.  The commands for
# people work on a bare Debian 12 and leave the tree as it is:
#
#   make check     build, lint and test on throw-away servers
#   make check-pg17  the same on PostgreSQL 17, in a Debian 13 made for it
#   make check-all   both, and what takes longer: more rounds, more kills
#   make demo      five real tenants become a warehouse, before your eyes
#   make examples  the demo and the other scenarios of examples/, one by one
#   make bench     measure it against dblink, postgres_fdw and COPY
#   make bench-plan  measure views over 3,650 and 36,500 slices
#   make lint      only the rules of test/lint
#   make format    indent src/ as PostgreSQL does
#
# SUITE="regress gate" narrows `make check...` down, PG_MAJOR=17 chooses another
# PostgreSQL, KEEP=1 keeps the demo's servers, QUICK=1 shortens the bench.

EXTENSION   = pg_warehouse
MODULE_big  = pg_warehouse
PGFILEDESC  = "pg_warehouse - one materialized view per template, tenant and day"
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

EXTVERSION  = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pg_warehouse.control)
FRAGMENTS   = $(sort $(wildcard src/install/*.sql))
INSTALL_SQL = pg_warehouse--$(EXTVERSION).sql
DATA_built  = $(INSTALL_SQL)
DATA        = $(wildcard src/install/upgrade/*.sql)

# The setup test makes the roles and the extension that the others use.
REGRESS      = setup $(filter-out setup,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --inputdir=.

PG_CPPFLAGS = -I$(libpq_srcdir)
SHLIB_LINK  = $(libpq) -lsodium -lcares -lzstd -lcurl
EXTRA_CLEAN = $(INSTALL_SQL)

PG_CONFIG  ?= pg_config

# These need no PostgreSQL to begin with: they fetch what is missing.
COMMANDS    = check check-pg17 check-all demo examples bench bench-plan lint format

ifeq ($(filter $(COMMANDS),$(MAKECMDGOALS)),)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(INSTALL_SQL): $(FRAGMENTS) pg_warehouse.control
	cat $(FRAGMENTS) > $@

# PGXS does not look who includes what.
$(OBJS): $(wildcard src/*.h)

else

.PHONY: $(COMMANDS)

check:
	@test/run.sh $(SUITE)

check-pg17:
	@test/pg17.sh $(SUITE)

check-all:
	@WH_LONG=1 test/run.sh $(SUITE)
	@test/pg17.sh $(SUITE)

lint:
	@test/run.sh lint

demo:
	@examples/multi-tenant-warehouse/run.sh

examples:
	@examples/run.sh

bench:
	@test/bench/run.sh

bench-plan:
	@test/bench/plan.sh

format:
	@test/format.sh

endif
