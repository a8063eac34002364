package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

func TestConfig(t *testing.T) {
	got := strings.Split(RenderConfig(512*miB, "allkeys-lfu", room.Unencrypted), "\n")
	for _, want := range []string{
		"maxmemory 536870912", "maxmemory-policy allkeys-lfu", "appendonly yes", "appendfsync everysec",
		`save ""`, "aclfile " + ACLFile, "dir " + DataPath, "port 6379",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("redis.conf lacks %q", want)
		}
	}
	for _, line := range got {
		if strings.HasPrefix(line, "requirepass") || strings.HasPrefix(line, "user ") {
			t.Errorf("a credential in the ConfigMap: %q", line)
		}
	}
}

// A server that must speak TLS alone opens no other port, and asks no client for a
// certificate.
func TestTLSConfig(t *testing.T) {
	for encryption, want := range map[room.Encryption][]string{
		room.Unencrypted: {"port 6379"},
		room.Preferred:   {"port 6379", "tls-port 6380", "tls-auth-clients no", "tls-cert-file /etc/redis-tls/tls.crt", "tls-key-file /etc/redis-tls/tls.key"},
		room.Required:    {"port 0", "tls-port 6380", "tls-auth-clients no", "tls-cert-file /etc/redis-tls/tls.crt", "tls-key-file /etc/redis-tls/tls.key"},
	} {
		var got []string
		for _, line := range strings.Split(RenderConfig(512*miB, DefaultPolicy, encryption), "\n") {
			if strings.HasPrefix(line, "port ") || strings.HasPrefix(line, "tls-") {
				got = append(got, line)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", encryption, got, want)
		}
	}
}

// The exporter's password is found under the very address that it asks.
func TestExporterPasswordsAreForItsAddress(t *testing.T) {
	for encryption, want := range map[room.Encryption]string{
		room.Unencrypted: `{"redis://monitoring@127.0.0.1:6379":"m"}`,
		room.Preferred:   `{"redis://monitoring@127.0.0.1:6379":"m"}`,
		room.Required:    `{"rediss://monitoring@localhost:6380":"m"}`,
	} {
		a := good()
		a.Encryption = encryption
		got, err := RenderExporterPasswords(a.address("cache", room.Kubernetes), "m")
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", encryption, got, err, want)
		}
		if asked := a.exporter("cache", room.Kubernetes).Env["REDIS_ADDR"]; strings.Replace(want, "monitoring@", "", 1) != fmt.Sprintf(`{"%s":"m"}`, asked) {
			t.Errorf("%s: it asks %s", encryption, asked)
		}
	}
}

func TestMaxMemoryLeavesRoomForARewrite(t *testing.T) {
	for limit, want := range map[int64]int64{64 * miB: 32 * miB, 2048 * miB: 1024 * miB, 255 * miB: 127 * miB} {
		got := MaxMemory(limit)
		if got != want {
			t.Errorf("limit %d MiB: maxmemory %d MiB, want %d", limit/miB, got/miB, want/miB)
		}
		if 2*got > limit {
			t.Errorf("limit %d MiB: a copy of every page does not fit", limit/miB)
		}
	}
}

func TestACLHoldsDigestsOnly(t *testing.T) {
	const application, monitoring = "application-password", "monitoring-password"
	acl, err := RenderACL(application, "", monitoring)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{application, monitoring} {
		if strings.Contains(acl, password) {
			t.Errorf("the file contains the password %q", password)
		}
		sum := sha256.Sum256([]byte(password))
		if !strings.Contains(acl, "#"+hex.EncodeToString(sum[:])) {
			t.Errorf("the file lacks the digest of %q", password)
		}
	}
	if again, _ := RenderACL(application, "", monitoring); again != acl {
		t.Error("two renderings differ: every update would restart the cache")
	}
}

func TestACLGrantsToEachUserWhatItNeeds(t *testing.T) {
	acl, err := RenderACL("a", "", "m")
	if err != nil {
		t.Fatal(err)
	}
	grants := map[string][]string{}
	for line := range strings.Lines(acl) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "user" || fields[2] != "on" {
			t.Fatalf("not a user: %q", line)
		}
		grants[fields[1]] = fields[3:]
	}
	if d := grants["default"]; !slices.Contains(d, "-@admin") || slices.Contains(d, "nopass") || d[len(d)-1] != "-@admin" {
		t.Errorf("the application's user: %v, want a password and, as the last word, no administration", d)
	}
	for _, name := range []string{MonitoringUser, HealthUser} {
		g := grants[name]
		if !slices.Contains(g, "resetkeys") || !slices.Contains(g, "resetchannels") || !slices.Contains(g, "-@all") {
			t.Errorf("%s may read data: %v", name, g)
		}
	}
	if slices.Contains(grants[MonitoringUser], "nopass") {
		t.Error("the exporter's user needs no password")
	}
	var health []string
	for _, g := range grants[HealthUser] {
		if strings.HasPrefix(g, "+") {
			health = append(health, g)
		}
	}
	if !slices.Equal(health, []string{"+ping", "+time"}) {
		t.Errorf("the user without a password may do %v, want nothing but ping and time", health)
	}
}

func TestACLRefusesAnEmptyPassword(t *testing.T) {
	for _, c := range [][2]string{{"", "m"}, {"a", ""}} {
		if acl, err := RenderACL(c[0], "f", c[1]); err == nil {
			t.Errorf("accepted: %q", acl)
		}
	}
}

func good() *Args {
	return &Args{
		Placement: workload.Placement{Namespace: pulumi.String("n")}, Image: pulumi.String("i:1"), ExporterImage: pulumi.String("e:1"),
		Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"), Storage: resource.MustParse("10Gi"),
		ApplicationPassword: pulumi.String("a"), MonitoringPassword: pulumi.String("m"),
	}
}

func TestArgsThatAreRefused(t *testing.T) {
	if _, err := good().validated("cache"); err != nil {
		t.Fatalf("good arguments: %v", err)
	}
	for _, c := range []struct {
		name string
		edit func(*Args)
		want []string
	}{
		{"nothing given", func(a *Args) { *a = Args{} }, []string{"Namespace", "ApplicationPassword", "MonitoringPassword"}},
		{"memory too small", func(a *Args) { a.Resources = room.ResourcesOf("1", "32Mi", "1", "63Mi") }, []string{"63Mi", "64Mi"}},
		{"volume too small for the memory", func(a *Args) { a.Storage = resource.MustParse("4Gi") }, []string{"Storage is 4Gi", "4160Mi"}},
		{"no such encryption", func(a *Args) { a.Encryption = "sometimes" }, []string{`"sometimes"`, "required"}},
		{"nobody signs", func(a *Args) { a.Encryption = room.Required }, []string{"Authority.Seed", "required"}},
		{"no policy of Redis'", func(a *Args) { a.Policy = "sometimes" }, []string{`"sometimes"`, DefaultPolicy, NoEviction}},
		{"alias its own", func(a *Args) { a.AliasServices = []string{"cache"} }, []string{`"cache"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good()
			c.edit(a)
			_, err := a.validated("cache")
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestDemandsCountEveryContainerServiceAndClaim(t *testing.T) {
	a := good()
	a.AliasServices = []string{"redis"}
	sum := platform.Sum(a.Facts("cache", room.Kubernetes))
	if sum.Pods != 1 || sum.Claims != 1 || sum.Services != 3 {
		t.Errorf("pods %d, claims %d, Services %d; want 1, 1, 3", sum.Pods, sum.Claims, sum.Services)
	}
	want := a.Resources.Limits.Memory.DeepCopy()
	want.Add(ExporterResources.Limits.Memory)
	if sum.Limits.Memory.Cmp(want) != 0 {
		t.Errorf("memory limits %s, want %s", sum.Limits.Memory.String(), want.String())
	}
}
