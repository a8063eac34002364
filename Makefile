# Every command of the project; `make` alone lists them. README.md tells what
# they do in sentences, CI runs the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Equal for every build of the project, so that all share Go's cache.
export CGO_ENABLED := 0
export GOWORK := off

LOCAL := .local/bin/local
# Flags for the program, e.g. LOCALFLAGS=--verbose.
LOCALFLAGS ?=

# Modules with code of ours; those of pinned tools are below local/modules.
MODULES := . local docker/backend docker/frontend tests/rules

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
up: local ## deploy the dev stack: to a local cluster, which is built and started first
	@$(LOCAL) deploy $(LOCALFLAGS)

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
test: fmt vet lint workflows test-root test-rules test-local test-docker ## everything that needs no cluster

.PHONY: fmt
fmt:
	@bad="$$(find . \( -path ./.local -o -name node_modules \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)"; \
	if [ -n "$$bad" ]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$bad" >&2; exit 1; fi; echo 'ok  gofmt'

.PHONY: vet
vet:
	@rc=0; for m in $(MODULES); do go vet -C $$m ./... && echo "ok  vet $$m" || rc=1; done; exit $$rc

.PHONY: lint
lint:
	@go build -C local/modules/lint -o ../../../.local/bin/golangci-lint tool
	@rc=0; for m in $(MODULES); do \
	  (cd $$m && $(CURDIR)/.local/bin/golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) && echo "ok  golangci-lint $$m" || rc=1; \
	done; exit $$rc

.PHONY: workflows
workflows:
	@go tool -modfile=local/modules/actionlint/go.mod actionlint && echo 'ok  actionlint'

.PHONY: test-root
test-root:
	@go test ./...

.PHONY: test-rules
test-rules:
	@go test -C tests/rules ./...

.PHONY: test-local
test-local:
	@go test -C local ./...

# The race detector needs cgo. Tests of the backend start real databases.
.PHONY: test-docker
test-docker:
	@CGO_ENABLED=1 go test -C docker/backend -race ./...
	@CGO_ENABLED=1 go test -C docker/frontend -race ./...

.PHONY: e2e
e2e: local ## the whole proof on the local cluster, from nothing to destroyed; KEEP=1 uses and keeps a running one
	@KEEP=$(KEEP) LOCAL=$(CURDIR)/$(LOCAL) go test -tags e2e -count=1 -v -timeout 60m ./tests/e2e/...

.PHONY: bench
bench: local ## measure the running dev stack and print ratios
	@LOCAL=$(CURDIR)/$(LOCAL) go test -tags e2e -run '^$$' -bench . -benchtime 1x -timeout 30m ./tests/e2e/...

##@ manifests

.PHONY: render
render: ## write a stack's Kubernetes objects as YAML, without credentials: STACK=prod OUT=dir
	@[ -n "$(OUT)" ] || { echo 'OUT is missing: name the folder to write to, e.g. make render STACK=prod OUT=rendered/prod' >&2; exit 1; }
	@go run ./tests/render -stack "$(or $(STACK),dev)" -out "$(OUT)"

.PHONY: preview-diff
preview-diff: ## what a change does to the manifests of every stack: BASE=main
	@.ci/preview-diff "$(or $(BASE),main)"
