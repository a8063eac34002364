// Built with the file of local/modules/kubernetes (-modfile), whose packages the local
// cluster's API server has compiled already.
module github.com/alphapulse/alphapulse-infra/tests/apiserver

go 1.26.4
