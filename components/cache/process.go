package cache

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

// Process is how one of the cache's processes is started, whatever starts it: a
// pod's container or one on a Docker host.
type Process struct {
	// Command replaces the image's entrypoint; empty keeps it.
	Command []string
	// Env are plain variables; what they name is secret, they are not.
	Env map[string]string
	// Ready is a command that succeeds once the process can be used; nil where only
	// its port tells.
	Ready []string
}

// loopback is where the processes of one pod reach each other.
const loopback = "127.0.0.1"

// ServerProcess is the server.
func ServerProcess() Process {
	return Process{
		// Not the image's entrypoint, which loads every module that it ships.
		Command: []string{"redis-server", ConfigFile},
		Ready:   ask("ping"),
	}
}

// ask is a command that asks the server as HealthUser, who has no password (any word
// will do) and no rights but these commands; -e makes an error reply a failure.
func ask(command string) []string {
	return []string{"redis-cli", "-e", "--no-auth-warning", "--user", HealthUser, "--pass", "none", command}
}

// ExporterProcess is the exporter of the server at host.
func ExporterProcess(host string) Process {
	return Process{Env: map[string]string{
		"REDIS_ADDR":          "redis://" + net.JoinHostPort(host, strconv.Itoa(Port)),
		"REDIS_USER":          MonitoringUser,
		"REDIS_PASSWORD_FILE": ExporterFile,
		// The limit and the policy are in INFO; CONFIG would also show secrets.
		"REDIS_EXPORTER_CONFIG_COMMAND": "-",
		// It would query whatever address a caller names.
		"REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT": "true",
	}}
}

// RenderExporterPasswords renders ExporterFile, which maps the address that the
// exporter asks to the password.
func RenderExporterPasswords(host, password string) (string, error) {
	b, err := json.Marshal(map[string]string{
		fmt.Sprintf("redis://%s@%s", MonitoringUser, net.JoinHostPort(host, strconv.Itoa(Port))): password,
	})
	return string(b), err
}
