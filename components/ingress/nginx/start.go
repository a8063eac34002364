package nginx

import (
	_ "embed"
	"path"
)

// StartScript completes a rendered configuration with what only the container that
// nginx runs in knows (its name servers, its cluster's domain, whether it has IPv6) and
// becomes nginx. It lies beside the configuration under the name StartFile and needs
// a POSIX shell and sed, which the images of nginx have.
//
//go:embed start.sh
var StartScript string

// StartFile is the name of StartScript.
const StartFile = "start.sh"

// Command starts nginx with the configuration that c rendered into file, which
// StartScript lies beside. The completed one is written to c.TempDir.
func (c *Config) Command(file string) []string {
	return []string{"/bin/sh", path.Join(path.Dir(file), StartFile), file, path.Join(c.TempDir, "nginx.conf")}
}
