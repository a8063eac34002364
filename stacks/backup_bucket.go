package stacks

import (
	"fmt"
	"path"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Bucket is a repository elsewhere, or in a folder.
type Bucket struct {
	// Folder of a Docker host; "" for a bucket, of which the others are but Passphrase.
	Folder                         string
	Endpoint, Bucket, Region, Path string
	PathStyle                      bool
	// Authority is PEM.
	Authority                  string
	Key, KeySecret, Passphrase string
}

// bucketSettings declares the settings of a bucket, whose names begin with prefix.
func bucketSettings(g *settings.Group, prefix, of, path string, b *Bucket, options []settings.Option) {
	with := func(more ...settings.Option) []settings.Option {
		return append(options[:len(options):len(options)], more...)
	}
	g.Text(&b.Endpoint, prefix+"Endpoint", "S3 server, host or host:port, over TLS, with "+of+".", with(settings.Valid(pgbackrest.Endpoint))...)
	g.Text(&b.Bucket, prefix+"Bucket", "Bucket with "+of+".", with(settings.Valid(pgbackrest.Bucket))...)
	g.Text(&b.Region, prefix+"Region", "Region of that bucket.", with()...)
	g.Text(&b.Path, prefix+"Path", "Folder in that bucket; "+path+".", with(settings.Valid(pgbackrest.Path))...)
	g.Bool(&b.PathStyle, prefix+"PathStyle", "Name the bucket in the path instead of the host, as servers such as MinIO want it.", with()...)
	g.Text(&b.Authority, prefix+"Authority", "Certificate, PEM, of the authority that vouches for that server; by default the system's do.", with(settings.Valid(certificates))...)
	g.Text(&b.Key, prefix+"Key", "Access key of that bucket.", with(settings.Secret)...)
	g.Text(&b.KeySecret, prefix+"KeySecret", "Secret of that access key.", with(settings.Secret)...)
}

// repositoryFolder is for settings.Valid: a folder of a Docker host that is mounted whole.
func repositoryFolder(v string) error {
	if !path.IsAbs(v) || path.Clean(v) != v || v == "/" || strings.ContainsAny(v, ":,\"") {
		return fmt.Errorf("%q is no folder of a host: write its whole path, e.g. /srv/alphapulse/backup", v)
	}
	return nil
}

// repository completes one with a bucket's address.
func (b Bucket) repository(r pgbackrest.Repository, stack string) pgbackrest.Repository {
	if b.Folder != "" {
		return pgbackrest.Repository{Folder: database.HostRepository, Full: r.Full, Differential: r.Differential}
	}
	r.Folder = ""
	r.Endpoint, r.Bucket, r.Path, r.PathStyle = b.Endpoint, b.Bucket, b.Path, b.PathStyle
	if b.Region != "" {
		r.Region = b.Region
	}
	if r.Path == "" {
		r.Path = "/alphapulse/" + strings.ToLower(stack)
	}
	return r
}

// over takes what is not set from another bucket's settings. A folder has all of it.
func (b Bucket) over(other Bucket) Bucket {
	if b.Folder != "" {
		return Bucket{Folder: b.Folder}
	}
	for _, f := range []struct{ own, other *string }{
		{&b.Endpoint, &other.Endpoint}, {&b.Bucket, &other.Bucket}, {&b.Region, &other.Region}, {&b.Path, &other.Path},
		{&b.Authority, &other.Authority}, {&b.Key, &other.Key}, {&b.KeySecret, &other.KeySecret},
	} {
		if *f.own == "" {
			*f.own = *f.other
		}
	}
	b.PathStyle = b.PathStyle || other.PathStyle
	return b
}
