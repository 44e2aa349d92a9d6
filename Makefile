# Pangeo CaaS. `make help` lists what can be made.
#
# SAN=1        AddressSanitizer and UndefinedBehaviorSanitizer, in build-san/
# CC=clang     another compiler, in build-clang/
# V=1          show the commands
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
SHELL := /bin/bash

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD  ?= build$(if $(SAN),-san)$(if $(findstring clang,$(CC)),-clang)
Q      := $(if $(V),,@)
# What goes before the compiler; tests/run.sh has it be ccache.
CCACHE ?=
comma  := ,
prefix ?= /usr/local
DESTDIR ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# ---- what is built from what --------------------------------------------------------------------------------------
# The order is the order of the layers: each may include itself and those before it (tests/lint/layers.sh).
LAYERS   := base tree form role journal plan client kind engine access cli
# Beside them: what watches a cluster, of base, tree, journal and client only.
EXPORTER := $(BUILD)/libexporter.a $(BUILD)/libjournal.a $(BUILD)/libclient.a $(BUILD)/libtree.a $(BUILD)/libbase.a
HELPERS  := caas-home caas-sandbox
HEADERS  := jansson.h yaml.h curl/curl.h ldap.h openssl/evp.h sqlite3.h microhttpd.h
LIBS     := -ljansson -lyaml -lcurl -lldap -llber -lcrypto -lsqlite3 -lpthread -lm

CPPFLAGS += -D_GNU_SOURCE -Iprovisioner -Imonitoring
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
HARDEN   := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS   ?= -O2 -g
ALL_CFLAGS := -std=gnu17 $(CFLAGS) $(WARNINGS) $(HARDEN) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LDFLAGS) $(if $(SAN),-fsanitize=address$(comma)undefined)

sources   = $(shell find provisioner/$(1) -name '*.c' 2>/dev/null)
objects   = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBRARIES := $(foreach l,$(LAYERS),$(BUILD)/lib$(l).a)
LINK      := $(foreach l,$(LAYERS),$(BUILD)/lib$(l).a)
PROGRAMS  := $(BUILD)/caas $(HELPERS:%=$(BUILD)/%) $(BUILD)/caas-exporter
UNIT_SRC  := $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
FUZZ      := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES   := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/bench_*.c))
MAIN      := provisioner/cli/main.c

.PHONY: help deps all demo demo-stop exporter-image test unit unit-programs lint fmt fuzz integration integration-programs testbed-up testbed-down testbed-check bench bench-programs install clean FORCE
.DEFAULT_GOAL := all

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@awk 'NR < 10 && $$2 ~ /^[A-Z]+=/ {name = $$2; sub(/^# *[^ ]+ */, ""); printf "  make %-14s %s\n", name, $$0}' Makefile

deps: ## install what is missing of Debian's packages, and say what
	@bash tests/lib/deps.sh

all: $(PROGRAMS) ## build build/caas and its helper programs

# ---- compiling ----------------------------------------------------------------------------------------------------
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(ALL_LDFLAGS)' > $@
$(BUILD)/version.stamp: FORCE
	@mkdir -p $(BUILD)
	@echo '$(VERSION) $(prefix)' | cmp -s - $@ || echo '$(VERSION) $(prefix)' > $@

# Once: who has only make and git is told what to do, and not by the first header that is not there.
$(BUILD)/libraries:
	@mkdir -p $(BUILD)
	@printf '#include <%s>\n' $(HEADERS) | $(CC) -E -x c - >/dev/null 2>&1 || { echo "a compiler or libraries are missing: make deps installs them" >&2; exit 1; }
	@touch $@

$(BUILD)/%.o: %.c $(BUILD)/flags | $(BUILD)/libraries
	@mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/provisioner/cli/version.o: $(BUILD)/version.stamp
$(BUILD)/provisioner/cli/version.o: CPPFLAGS += -DCAAS_VERSION='"$(VERSION)"' -DCAAS_DATADIR='"$(prefix)/share/caas"' -DCAAS_LIBEXECDIR='"$(prefix)/libexec/caas"'

define layer_rule
$(BUILD)/lib$(1).a: $$(filter-out $(BUILD)/$(MAIN:.c=.o),$$(call objects,$$(call sources,$(1))))
	$$(Q)rm -f $$@; ar rcsD $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

$(BUILD)/caas: $(BUILD)/$(MAIN:.c=.o) $(LIBRARIES)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(LINK) -Wl,--end-group $(LIBS)

$(HELPERS:%=$(BUILD)/%): $(BUILD)/caas-%: $(BUILD)/provisioner/helper/caas_%.o $(BUILD)/libbase.a $(BUILD)/libclient.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libclient.a $(BUILD)/libbase.a $(LIBS)

EXPORTER_MAIN := monitoring/exporter/main.c
$(BUILD)/libexporter.a: $(filter-out $(BUILD)/$(EXPORTER_MAIN:.c=.o),$(call objects,$(wildcard monitoring/exporter/*.c)))
	$(Q)rm -f $@; ar rcsD $@ $^
$(BUILD)/monitoring/exporter/version.o: $(BUILD)/version.stamp
$(BUILD)/monitoring/exporter/version.o: CPPFLAGS += -DCAAS_VERSION='"$(VERSION)"'

$(BUILD)/caas-exporter: $(BUILD)/$(EXPORTER_MAIN:.c=.o) $(EXPORTER)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(EXPORTER) -Wl,--end-group $(LIBS) -lssl -lmicrohttpd

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- tests --------------------------------------------------------------------------------------------------------
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(LIBRARIES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(LINK) -Wl,--end-group $(LIBS) -lssl -lcmocka

$(BUILD)/unit/exporter/%: $(BUILD)/tests/unit/exporter/%.o $(LIBRARIES) $(EXPORTER)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(BUILD)/libexporter.a $(LINK) -Wl,--end-group $(LIBS) -lssl -lmicrohttpd -lcmocka

unit-programs: $(UNIT)
unit: $(UNIT) $(PROGRAMS) ## unit tests and fixture cases (SAN=1: under the sanitizers)
	@BUILD=$(BUILD) bash tests/lib/unit.sh $(UNIT)

FUZZ_CFLAGS := -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
fuzz_objects = $(patsubst %.c,$(BUILD)/fuzz/objects/%.o,$(1))
FUZZ_SRC := $(foreach l,base tree form,$(call sources,$(l)))
FUZZ_SRC += $(addprefix provisioner/client/kube/,kubeconfig.c kubeconfig_entry.c kubeconfig_user.c base64.c lines.c websocket.c)
FUZZ_SRC += provisioner/client/prometheus/metrics.c
# What the exporter takes of kubelets, and is answered: its sources that ask over HTTP.
$(BUILD)/fuzz/fuzz_kubelet: $(call fuzz_objects,monitoring/exporter/kubelet_figures.c)
FUZZ_ANSWERS := $(addprefix monitoring/exporter/,api.c dask.c sink.c source_hub.c source_gateway.c) $(wildcard provisioner/client/http/*.c)
$(BUILD)/fuzz/fuzz_answers: $(call fuzz_objects,$(FUZZ_ANSWERS))
FUZZ_EXPORTER := $(addprefix monitoring/exporter/,accounts.c address.c config.c groups.c note.c processes.c registry.c request.c sink.c version.c write.c) $(wildcard provisioner/client/cgroup/*.c)
$(BUILD)/fuzz/fuzz_exporter: $(call fuzz_objects,$(FUZZ_EXPORTER))
# What its other sources read, of directory, API server, certificates, journal, control groups; what reads it is compiled for
# the fuzzer, the rest of it is as it is anyway.
FUZZ_SOURCES := $(addprefix monitoring/exporter/,api.c families.c groups.c kube_read.c kube_view.c processes.c sink.c source_backup.c source_directory.c source_run.c)
FUZZ_SOURCES += $(addprefix provisioner/client/,cgroup/limit.c cgroup/usage.c kube/amount.c ldap/escape.c tls/read.c) provisioner/journal/look.c
$(BUILD)/fuzz/fuzz_sources: $(call fuzz_objects,$(FUZZ_SOURCES)) $(EXPORTER)
$(BUILD)/fuzz/fuzz_sources: FUZZ_LIBS := -Wl,--as-needed -lcurl -lldap -llber -lsqlite3 -lssl -lm
$(BUILD)/fuzz/objects/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CCACHE) clang $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$(FUZZ): $(BUILD)/fuzz/%: $(BUILD)/fuzz/objects/tests/fuzz/%.o $(call fuzz_objects,$(FUZZ_SRC))
	$(Q)clang $(FUZZ_CFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -ljansson -lyaml -lcrypto -lpthread $(FUZZ_LIBS)

fuzz: $(FUZZ) ## fuzz smoke: FUZZ_SECONDS (20 or 8) for each target
	@BUILD=$(BUILD) bash tests/lib/fuzz.sh $(FUZZ)

lint: ## include direction, format, clang-tidy, shellcheck, ruff, banned functions, documentation
	@bash tests/lint/run.sh

fmt: ## format C and Python as lint wants them
	@bash tests/lint/fmt.sh

# Unit programs that have something to test only there: under systemd, with an API server.
integration-programs: $(addprefix $(BUILD)/unit/,kind/test_service_systemd kind/test_kube_object_live kind/test_kube_admission_live kind/test_kube_wait_live client/test_kube_server client/test_kube_connections client/test_kube_expiry)
integration: all integration-programs ## the real stack on this machine
	@bash tests/integration/run.sh

# TESTBED=NAME is the cluster's; its kubeconfig is /var/tmp/caas-testbed-NAME/admin.kubeconfig.
TESTBED ?= tb
testbed-up: ## a Kubernetes cluster on this machine, real but for its size (the first time built from source)
	@bash tests/lib/deps.sh testbed && bash tests/testbed/up.sh --name $(TESTBED)

testbed-down: ## ends it; its images are kept
	@bash tests/testbed/down.sh --name $(TESTBED)

testbed-check: ## the test bed checks itself
	@bash tests/lib/deps.sh testbed && bash tests/testbed/check.sh

test: deps ## everything; the one command on a fresh machine
	@bash tests/run.sh

# ---- use ----------------------------------------------------------------------------------------------------------
demo: deps ## a working Pangeo on this machine, from nothing
	@$(MAKE) --no-print-directory -j2 all
	@bash tests/lib/demo.sh

demo-stop: ## removes the demo; homes and accounts are kept
	@build/caas destroy demo --yes

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIBRARIES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(LINK) -Wl,--end-group $(LIBS) -lmicrohttpd
bench-programs: $(BENCHES)
bench: all bench-programs ## speed and size against the peers; prints ratios
	@BUILD=$(BUILD) bash tests/bench/run.sh

# IMAGE=registry.example.org/caas-exporter:1.0 is what it is called in the archive.
exporter-image: $(BUILD)/caas-exporter ## the exporter's image for Kubernetes, an OCI archive
	$(Q)bash monitoring/exporter/image.sh $< '$(VERSION)' $(BUILD)/caas-exporter-$(VERSION).tar $(IMAGE)
	@echo "$(BUILD)/caas-exporter-$(VERSION).tar"

install: all ## into DESTDIR and prefix
	install -d $(DESTDIR)$(prefix)/bin $(DESTDIR)$(prefix)/libexec/caas $(DESTDIR)$(prefix)/share/caas \
		$(DESTDIR)$(prefix)/share/man/man1 $(DESTDIR)$(prefix)/share/bash-completion/completions
	install -m 0755 $(BUILD)/caas $(DESTDIR)$(prefix)/bin/caas
	install -m 0755 $(HELPERS:%=$(BUILD)/%) $(BUILD)/caas-exporter $(DESTDIR)$(prefix)/libexec/caas/
	rm -rf $(addprefix $(DESTDIR)$(prefix)/share/caas/,roles templates monitoring) $(DESTDIR)$(prefix)/share/doc/caas # what an older one had is no part of this one
	cp -R roles templates $(DESTDIR)$(prefix)/share/caas/
	install -d $(DESTDIR)$(prefix)/share/caas/monitoring/alerts $(DESTDIR)$(prefix)/share/caas/monitoring/dashboards
	install -m 0644 monitoring/alerts/*.yaml $(DESTDIR)$(prefix)/share/caas/monitoring/alerts/
	install -m 0644 monitoring/dashboards/*.json $(DESTDIR)$(prefix)/share/caas/monitoring/dashboards/
	find $(DESTDIR)$(prefix)/share/caas -name __pycache__ -prune -exec rm -rf {} +
	install -d $(DESTDIR)$(prefix)/share/doc/caas/docs/images # alerts and messages name docs/…
	install -m 0644 README.md $(DESTDIR)$(prefix)/share/doc/caas/
	install -m 0644 docs/*.md $(DESTDIR)$(prefix)/share/doc/caas/docs/
	install -m 0644 docs/images/* $(DESTDIR)$(prefix)/share/doc/caas/docs/images/
	chmod -R u=rwX,go=rX $(DESTDIR)$(prefix)/share/caas $(DESTDIR)$(prefix)/share/doc/caas
	install -m 0644 docs/caas.1 $(DESTDIR)$(prefix)/share/man/man1/caas.1
	$(BUILD)/caas completion bash > $(DESTDIR)$(prefix)/share/bash-completion/completions/caas
	chmod 0644 $(DESTDIR)$(prefix)/share/bash-completion/completions/caas

clean: ## removes what was built
	rm -rf build build-*
