# Every command of the project; `make` alone lists them. README.md tells what
# they do in sentences, CI runs the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Equal for every build of the project, so that all share Go's cache. What only a
# debugger reads is left out, and the largest packages are not inlined: local/ says why.
export CGO_ENABLED := 0
export GOWORK := off
COMPILER_FLAGS := -gcflags=all=-dwarf=false '-gcflags=github.com/pulumi/pulumi-kubernetes/sdk/...=-dwarf=false -l'
USER_GOFLAGS := $(shell go env GOFLAGS 2>/dev/null)
export GOFLAGS := $(if $(findstring $(COMPILER_FLAGS),$(USER_GOFLAGS)),$(USER_GOFLAGS),$(strip $(USER_GOFLAGS) $(COMPILER_FLAGS)))

LOCAL := .local/bin/local
# Flags for the program, e.g. LOCALFLAGS=--verbose.
LOCALFLAGS ?=

# Modules with code of ours; the others below local/modules pin what is built of others'.
TOOL_MODULES := local/modules/helpers local/modules/vulncheck
MODULES := . local docker/backend docker/frontend docker/agent tests/rules tests/minors tests/library $(TOOL_MODULES)

# What is shipped, or what users run: known vulnerabilities in it fail the tests.
SHIPPED := . docker/agent docker/backend docker/frontend local

# Tests with these tags need root, a cluster or a browser; all are vetted.
TEST_TAGS := e2e,cluster,integration,live

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  CLUSTER=current make up deploys to the current kube context instead of the local cluster.\n'

# The program that does what make up, down, status, logs and pulumi promise.
.PHONY: local
local:
	@command -v go >/dev/null || { echo "Go 1.26.4 or newer is needed: install it from https://go.dev/dl and put it on PATH" >&2; exit 1; }
	@mkdir -p $(dir $(LOCAL))
	@go build -C local -o ../$(LOCAL) .

##@ the dev stack

.PHONY: up
up: local ## deploy the dev stack: to a local cluster, which is built and started first; NODES=3 gives it so many nodes, ADDONS=certManager,gateway what belongs to a cluster
	@$(LOCAL) deploy $(if $(NODES),--nodes=$(NODES)) $(if $(ADDONS),--addons=$(ADDONS)) $(LOCALFLAGS)

.PHONY: down
down: local ## destroy the stack, stop the local cluster, leave nothing behind
	@rc=0; $(LOCAL) destroy $(LOCALFLAGS) || rc=$$?; $(LOCAL) down $(LOCALFLAGS) || rc=$$?; exit $$rc

.PHONY: status
status: local ## tell how the local cluster and the pods of the stack are
	@$(LOCAL) status $(LOCALFLAGS)
	@$(LOCAL) kubectl -- get pods,hpa,pvc --namespace alphapulse-dev

.PHONY: logs
logs: local ## print the logs of a component: C=backend; follow them with F=1
	@$(LOCAL) logs $(if $(F),--follow) $(C)

.PHONY: pulumi
pulumi: local ## run pulumi on the clone's state: ARGS="stack output"
	@$(LOCAL) pulumi -- $(ARGS)

##@ checks

.PHONY: test
ifdef PKG
test: test-pkg
else
test: fmt workflows vet lint vulncheck test-root test-rules test-minors test-library manifests test-local test-tools test-agent test-backend test-frontend ## everything that needs no cluster; PKG=components/cache one package alone
endif

# One folder of one module, and what is below it.
.PHONY: test-pkg
test-pkg: golangci-lint
	@case "$$(realpath -q "$(PKG)")/" in "$(CURDIR)/"*) [ -d "$(PKG)" ];; *) false;; esac || \
	  { echo 'PKG=$(PKG): there is no such folder in the clone: name one, e.g. PKG=components/cache' >&2; exit 1; }
	@bad="$$(gofmt -l $(PKG))"; if [ -n "$$bad" ]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$bad" >&2; exit 1; fi; echo 'ok  gofmt'
	@p="$$(realpath "$(PKG)")"; m="$$p"; until [ -f "$$m/go.mod" ]; do m="$$(dirname "$$m")"; done; \
	cd "$$m"; p="./$$(realpath --relative-to="$$m" "$$p")/..."; rc=0; \
	go vet -tags '$(TEST_TAGS)' "$$p" && echo 'ok  vet' || rc=1; \
	$(CURDIR)/.local/bin/golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml --build-tags '$(TEST_TAGS)' "$$p" && echo 'ok  golangci-lint' || rc=1; \
	go test "$$p" || rc=1; exit $$rc

.PHONY: fmt
fmt:
	@bad="$$(find . \( -path ./.local -o -name node_modules \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)"; \
	if [ -n "$$bad" ]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$bad" >&2; exit 1; fi; echo 'ok  gofmt'

.PHONY: workflows
workflows:
	@go tool -modfile=local/modules/actionlint/go.mod actionlint && echo 'ok  actionlint'

.PHONY: vet
vet:
	@rc=0; for m in $(MODULES); do go vet -C $$m -tags '$(TEST_TAGS)' ./... && echo "ok  vet $$m" || rc=1; done; exit $$rc

.PHONY: golangci-lint
golangci-lint:
	@go build -C local/modules/lint -o ../../../.local/bin/golangci-lint tool

.PHONY: lint
lint: golangci-lint
	@rc=0; for m in $(MODULES); do \
	  (cd $$m && $(CURDIR)/.local/bin/golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml --build-tags '$(TEST_TAGS)' ./...) && echo "ok  golangci-lint $$m" || rc=1; \
	done; exit $$rc

.PHONY: vulncheck
vulncheck:
	@go build -C local/modules/vulncheck -o ../../../.local/bin/vulncheck .
	@.local/bin/vulncheck $(SHIPPED) && echo 'ok  vulncheck'

.PHONY: test-root
test-root:
	@go test ./...

.PHONY: test-rules
test-rules:
	@go test -C tests/rules ./...

# Each module file has the API types of one Kubernetes minor.
.PHONY: test-minors
test-minors:
	@rm -rf .local/rendered/minors; go build -o .local/bin/render ./cmd/render
	@for s in dev prod; do .local/bin/render -stack $$s -out .local/rendered/minors/$$s >/dev/null; done
	@rc=0; for f in go.mod kubernetes-1.36.mod kubernetes-1.35.mod; do \
	  RENDERED=$(CURDIR)/.local/rendered/minors go test -C tests/minors -modfile=$$f -count=1 ./... || rc=1; \
	done; exit $$rc

# The components in somebody else's program.
.PHONY: test-library
test-library:
	@go test -C tests/library ./...

# Of the linters that users run this is one. NOT RUN HERE: kube-linter and polaris, whose
# modules (golang.stackrox.io/kube-linter, github.com/fairwindsops/polaris) the module
# proxies that this was made with refuse; docs/clusters.md has what they said by hand.
# Not checked: that images are pulled at each start (tags are pinned and nodes may
# be offline), and that user ids are above 10000 (they are those of the images).
# Exceptions: Patroni gives the members the label that the Services of primary and standbys
# select; PgBouncer and the store of backups have but their port to ask, so that both
# probes do, at other paces.
# Kubernetes' scheduler says where the pods go; vet would read all of Kubernetes for it.
.PHONY: manifests
manifests:
	@rm -rf .local/rendered/prod
	@go run ./cmd/render -stack prod -out .local/rendered/prod
	@go tool -modfile=local/modules/kubelint/go.mod kube-score score --output-format ci \
	  --ignore-test container-image-pull-policy,container-security-context-user-group-id \
	  .local/rendered/prod/*.yaml >.local/rendered/prod.score || true
	@if grep CRITICAL .local/rendered/prod.score | grep -vE '^\[CRITICAL\] (database(-read)?/\S+ v1/Service: The services selector does not match any pods|(database-pooler/\S+ apps/v1/Deployment|backup-store/\S+ apps/v1/StatefulSet): Container has the same readiness and liveness probe)' >&2; then exit 1; fi; grep -c '^\[OK\]' .local/rendered/prod.score >/dev/null && echo 'ok  kube-score: nothing critical in prod'
	@go run ./cmd/render -stack dev -out .local/rendered/dev
	@RENDERED=$(CURDIR)/.local/rendered go test -C tests/scheduler -vet=off ./...

.PHONY: test-local
test-local:
	@go test -C local ./...

.PHONY: test-tools
test-tools:
	@rc=0; for m in $(TOOL_MODULES); do go test -C $$m ./... || rc=1; done; exit $$rc

# The race detector needs cgo.
.PHONY: test-agent
test-agent:
	@CGO_ENABLED=1 go test -C docker/agent -race ./...

.PHONY: test-backend
test-backend:
	@CGO_ENABLED=1 go test -C docker/backend -race ./...

FRONTEND := docker/frontend
$(FRONTEND)/node_modules/.package-lock.json: $(FRONTEND)/package-lock.json
	@cd $(FRONTEND) && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

.PHONY: test-frontend
test-frontend: $(FRONTEND)/node_modules/.package-lock.json
	@cd $(FRONTEND) && npm run --silent build && npm test --silent
	@CGO_ENABLED=1 go test -C $(FRONTEND) -race ./...

# Plans and runs the live proof, which comes in groups: tests/groups has the list.
.PHONY: groups
groups:
	@go build -o .local/bin/groups ./tests/groups

.PHONY: e2e
e2e: local groups ## the whole proof on the local cluster and engine, from nothing to destroyed; GROUP=core,single some of it; KEEP=1 uses and keeps a running cluster
	@.local/bin/groups e2e $(if $(KEEP),-keep) $(GROUP)

.PHONY: ci
ci: groups ## what .ci/run does once everything is installed: make test, make e2e GROUP=core, the other groups while 80 minutes last
	@.local/bin/groups ci -budget $(or $(BUDGET),80m) -elapsed $(or $(ELAPSED),0)

.PHONY: mutation
mutation: ## put faults into the code one by one and tell which ones no test notices: PART=components
	@go run ./tests/mutation $(if $(PART),-part $(PART))

.PHONY: bench
bench: local ## measure the dev stack, which is left running, and edge and backend alone; print ratios; BENCH=Commits some of it
	@rc=0; $(LOCAL) deploy $(LOCALFLAGS); \
	LOCAL=$(CURDIR)/$(LOCAL) go test -tags e2e -run '^$$' -bench '$(or $(BENCH),.)' -benchtime 1x -timeout 90m ./tests/e2e/... || rc=1; \
	go test -run '^$$' -bench '$(or $(BENCH),.)' -timeout 30m ./components/ingress/nginx || rc=1; \
	go test -C docker/backend -tags integration -run '^$$' -bench '$(or $(BENCH),.)' -benchtime 1x -timeout 30m ./integration/... || rc=1; \
	exit $$rc

.PHONY: pictures
pictures: local ## draw what the running dev stack shows into docs/pictures: its dashboards' queries, and Prometheus' own pages in Chromium
	@go run ./cmd/pictures -local $(LOCAL)

##@ manifests

.PHONY: render
render: ## write a stack's objects as YAML, without credentials: STACK=prod OUT=dir
	@[ -n "$(OUT)" ] || { echo 'OUT is missing: name the folder to write to, e.g. make render STACK=prod OUT=rendered/prod' >&2; exit 1; }
	@go run ./cmd/render -stack "$(or $(STACK),dev)" -out "$(OUT)"

.PHONY: preview-diff
preview-diff: ## what a change does to the manifests of every stack: BASE=main
	@.ci/preview-diff "$(or $(BASE),main)"

##@ generated files

.PHONY: generate
generate: ## write what follows from the settings' declarations: Pulumi.yaml's schema, docs/settings.md
	@go test ./tests/unit -run '^TestGenerated$$' -count=1 -update

.PHONY: golden
golden: ## rewrite the files that tests compare with, for a review of their diff
	@go test $$(find . -path '*/testdata/golden' -not -path './.local/*' | xargs -n1 dirname | xargs -n1 dirname) -count=1 -update
