module github.com/alphapulse/alphapulse-infra/local/modules/helpers

go 1.26.0
