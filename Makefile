# `make help` lists the targets. Needs Go; everything else is pinned in
# internal/check/tools and built into bin/.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c

FUZZTIME ?= 10s
VULNDB   ?= https://vuln.go.dev
TIMEOUT  ?= 10m
SEEDS    ?= 10000
FIRST    ?= 1
OUT      ?= out
TIMES    ?= 20
SHUFFLED  = -shuffle=on -count=$(TIMES)

# The race detector needs a C compiler.
RACE ?= $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# How many packages are tested at once: most of them wait for something most of the time.
PACKAGES ?= $(shell expr 1 + "$$(getconf _NPROCESSORS_ONLN)")

# A process with the race detector need not wait for a second before it ends.
export GORACE ?= atexit_sleep_ms=0

# The modules of this repository: all of go.work, or the one of go.mod.
MODULES = $(shell go list -m -f '{{.Dir}}')

# Those whose tests run clusters of NATS servers, which elect leaders within time limits of their
# own: nothing else is tested beside them.
ALONE = $(filter %/engine/nats %/examples/cluster,$(MODULES))

# tests runs the tests of all modules, with these options of go test.
define tests
go test $(RACE) -p $(PACKAGES) -timeout $(TIMEOUT) $(1) $(addsuffix /...,$(filter-out $(ALONE),$(MODULES)))
$(if $(ALONE),go test $(RACE) -p 1 -timeout $(TIMEOUT) $(1) $(addsuffix /...,$(ALONE)))
endef

# in runs a command in every module.
in = @for dir in $(MODULES); do echo "+ $(1)   (in .$${dir\#$(CURDIR)})"; (cd "$$dir" && $(1)); done

.DEFAULT_GOAL := help
.PHONY: help run run-dashboard run-cluster screenshot test flaky js web sim soak soak-js bench bench-quick bench-idle bench-nodes lint docs release-check vuln fuzz cover clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the chatroom at http://localhost:8080
	go run ./examples/chatroom server -data examples/chatroom/data

run-dashboard: ## run the dashboard at http://localhost:8081
	go run ./examples/dashboard

run-cluster: ## run a chat on three nodes behind a load balancer, with NATS in between (NATS=url,...: with that)
	go -C examples/cluster run . $(if $(NATS),-nats '$(NATS)')

screenshot: ## take the pictures of the chatroom and the dashboard in docs/ (needs Node and Chromium)
	test -d client/js/node_modules/playwright-core || npm --prefix client/js ci --no-fund --no-audit
	node client/js/scripts/chatroom-pictures.js
	node client/js/scripts/dashboard-pictures.js

test: ## vet and test everything, nearly everything with the race detector
	go vet $(addsuffix /...,$(MODULES))
	$(call tests)
	$(if $(RACE),go test -timeout $(TIMEOUT) -run FindsMistakes ./internal/check/sim)

flaky: TIMEOUT = 3h
flaky: ## look for tests that fail now and then: each TIMES (20) times on 1, 2 and 4 CPUs, for hours
	$(call tests,$(SHUFFLED) -cpu=1)
	$(call tests,$(SHUFFLED) -cpu=2)
	$(call tests,$(SHUFFLED) -cpu=4) # apart: the race detector's memory grows with each run in a process

js: ## test the JavaScript client, and check its size (needs Node, and for all of it Chromium and Firefox)
	npm --prefix client/js ci --no-fund --no-audit
	npm --prefix client/js test
	npm --prefix client/js run build

web: ## build and test the apps of examples/web, after make js (needs Node and Chromium)
	npm --prefix examples/web ci --no-fund --no-audit
	npm --prefix examples/web test

sim: ## simulate SEEDS (10000) schedules from FIRST (1) on over a failing network, or SEED=1234 again and again
	@go test ./internal/check/sim -count 1 -v -timeout $(TIMEOUT) -run '^TestSim$$' \
		$(if $(SEED),-sim.seed=$(SEED),-sim.seeds=$(SEEDS) -sim.first=$(FIRST)) | \
	awk '/^schedules=/ { last = $$0; next } { print; fflush() } END { print last }'

soak: ## put load on real sockets for 45 minutes (WEBWIRE_SOAK_TIME=5m: the last test takes five of its 30)
	WEBWIRE_SOAK=1 go test ./internal/check/e2e/soak ./internal/check/e2e/sessions ./internal/check/e2e/fire -count 1 -p 1 -v -timeout 60m
	WEBWIRE_SOAK=1 go test ./client ./server -run Schedules -count 1 -p 1 -timeout 40m

soak-js: ## run the long forms of tests of the JavaScript client, after make js
	WEBWIRE_SOAK=1 npm --prefix client/js run test-files test/hostile.test.js test/chatroom-long.test.js

bench: ## compare with raw libraries and peers (ONLY='regexp': only those), into OUT (out), in about ten minutes
	go -C internal/check/bench run . $(if $(ONLY),-only '$(ONLY)') -out $(abspath $(OUT))

bench-quick: ## compare requests of 32 bytes only, in less than a minute
	go -C internal/check/bench run . -quick -out $(abspath $(OUT))

bench-idle: ## measure what 10,000 idle connections cost a server
	go -C internal/check/bench run . -idle -out $(abspath $(OUT))

bench-nodes: ## measure several nodes on NATS, in two minutes
	go -C internal/check/bench run . -nodes -out $(abspath $(OUT))

lint: bin/staticcheck ## check format and run the linters
	@files=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +); \
	if [ -n "$$files" ]; then echo "not formatted by gofmt:"; echo "$$files"; exit 1; fi
	$(call in,go vet ./...)
	$(call in,$(CURDIR)/bin/staticcheck ./...)
	go -C internal/check/site run . -check

docs: ## make the site of the documentation, OUT/site
	go -C internal/check/site run . -out $(abspath $(OUT))/site

release-check: ## check versions, go.mod files and the npm package; VERSION=1.0.0: before that tag (needs Node)
	go run ./internal/check/release -version '$(VERSION)'
	test -d client/js/node_modules/typescript || npm --prefix client/js ci --no-fund --no-audit
	npm --prefix client/js run --silent check-pack

vuln: bin/govulncheck ## look for known vulnerabilities, in VULNDB (https://vuln.go.dev, needs network)
	@for dir in $(MODULES); do \
		echo "+ govulncheck ./...   (in .$${dir#$(CURDIR)})"; \
		(cd "$$dir" && $(CURDIR)/bin/govulncheck -db '$(VULNDB)' ./...) || { \
			code=$$?; \
			if [ $$code -ne 3 ]; then \
				echo "It needs packages that compile and the Go vulnerability database, here $(VULNDB)." >&2; \
				echo "Without network: make vuln VULNDB=file:///DIR, a copy with index/*.json and ID/*.json" >&2; \
				echo "(https://go.dev/doc/security/vuln/database)." >&2; \
			fi; \
			exit $$code; }; \
	done

# go test fails with "context deadline exceeded" if an execution is not over at the end of FUZZTIME.
fuzz: ## run every fuzz target for FUZZTIME (10s), and list how often each ran
	@results=$$(mktemp); trap 'rm -f "$$results"' EXIT; \
	for dir in $(MODULES); do \
		cd "$$dir"; \
		go test -list '^Fuzz' ./... | \
		awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, names[i]; n = 0 }' | \
		while read -r pkg name; do \
			echo "+ $$pkg $$name"; \
			{ go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$pkg" || true; } | \
			awk -v target="$$name in $${pkg#github.com/webwire-go/webwire/}" -v results="$$results" \
				'{ print; fflush() } match($$0, /execs: [0-9]+/) { n = substr($$0, RSTART + 7, RLENGTH - 7) } \
				/Failing input/ { found = 1 } /^ok/ { ok = 1 } \
				/^ *context deadline exceeded$$/ { late = 1 } \
				END { printf "%12d  %s\n", n, target >> results; exit !(ok || late && !found) }'; \
		done; \
	done; \
	echo "executions in $(FUZZTIME) each:"; cat "$$results"

cover: ## measure test coverage, per package
	@go test -timeout $(TIMEOUT) -coverpkg=./... -coverprofile=coverage.out ./... > coverage.txt || { cat coverage.txt; exit 1; }
	@awk -F '[: ]' ' \
		NR > 1 { block = $$1 ":" $$2; size[block] = $$3; if ($$4 > 0) hit[block] = 1 } \
		END { for (block in size) { pkg = block; sub("/[^/]*$$", "", pkg); all[pkg] += size[block]; sum += size[block]; \
			if (block in hit) { done[pkg] += size[block]; sumdone += size[block] } } \
			for (pkg in all) printf "%6.1f %%  %s\n", 100 * done[pkg] / all[pkg], pkg | "sort -k 3"; close("sort -k 3"); \
			if (sum) printf "%6.1f %%  total\n", 100 * sumdone / sum }' coverage.out

clean: ## remove what the targets made
	rm -rf bin coverage.out coverage.txt client/js/dist client/js/node_modules examples/web/dist examples/web/node_modules

# Built apart from the workspace: its modules do not have the tools.
bin/%: internal/check/tools/go.mod
	GOWORK=off GOBIN=$(CURDIR)/bin go -C internal/check/tools install tool
	@touch $@
