package settings_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// shop is what the tests' settings land in.
type shop struct {
	target      room.Target
	name, color string
	motto       string
	seats       int
	open        bool
	counters    int
	share       float64
	door        string
	keys        []string
	env         map[string]string
	store       resource.Quantity
	size        room.Resources
	image, own  pulumi.StringInput
	token       pulumi.StringInput
	password    string
}

func newShop() (*shop, *settings.Set) {
	s := &shop{
		target: room.Kubernetes, color: "red", motto: "buy", counters: 3, share: 0.25, door: "/front", keys: []string{"10.0.0.0/8"},
		env: map[string]string{}, store: resource.MustParse("5Gi"), size: room.ResourcesOf("1", "1Gi", "2", "2Gi"),
		image: pulumi.String("example.com/shop:1.0.0"),
	}
	set := settings.New(&s.target, room.Kubernetes, room.DockerHost)
	g := set.Group("Shop", "A shop.")
	g.Text((*string)(&s.target), "target", "Where it is.", settings.OneOf(room.Kubernetes, room.DockerHost))
	g.Text(&s.name, "name", "How it is called.", settings.Required("`set name`"))
	g.Text(&s.color, "color", "Its color.", settings.OneOf("red", "blue"))
	g.Bool(&s.open, "open", "Whether it is open.")
	g.Int(&s.counters, "counters", "Counters.", settings.Between(1, 9), settings.In("pieces"))
	g.Int(&s.seats, "seats", "Seats.", settings.Between(5, 9), settings.OrZero("for none"))
	g.Text(&s.motto, "motto", "The motto.", settings.Valid(func(v string) error {
		if v == "" {
			return errors.New("say something")
		}
		return nil
	}), settings.While(func() bool { return s.open }, "open is true"))
	g.Fraction(&s.share, "share", "Share of the market.")
	g.Path(&s.door, "door", "The door.")
	g.List(&s.keys, "keys", "Who has a key.", settings.Each(settings.CIDR))
	g.Variables(&s.env, "env", "Further variables.", settings.Each(func(name string) error {
		if name == "OWN" {
			return errors.New("the program sets it")
		}
		return nil
	}))
	g.Quantity(&s.store, "store", "The store room.", settings.AtLeast(resource.MustParse("1Gi"), "nothing fits"), settings.Only(room.Kubernetes))
	h := set.Group("Staff", "Who works there.")
	h.Resources(&s.size, "size", "one clerk", settings.AtLeast(resource.MustParse("64Mi"), ""))
	h.Image(&s.image, "image", "The uniform.", settings.Of(settings.Release{Product: "Cloth", Repositories: []string{"cloth"}, Mark: "c", Only: "17"}))
	h.Image(&s.own, "own", "A uniform of its own.")
	h.SecretText(&s.token, "token", "The token.", settings.Valid(func(v string) error {
		if len(v) < 4 {
			return errors.New("it is too short")
		}
		return nil
	}))
	h.Text(&s.password, "password", "The password.", settings.Secret, settings.Only(room.DockerHost))
	h.Check(func(p *settings.Problems) {
		if s.open && s.counters < 2 {
			p.Add("counters", "%d is too few for an open shop", s.counters)
		}
		if p.Meant("color") {
			p.Warn("color", "%s fades", p.Value("color"))
		}
	})
	return s, set
}

// read reads values, all of them stored as they should be.
func read(values map[string]string) (*shop, *settings.Problems) {
	s, set := newShop()
	given := map[string]string{"name": "corner"}
	for k, v := range values {
		given[k] = v
	}
	return s, set.Read(given, []string{"token", "password"})
}

func TestDefaultsAreWhatIsBehindThePointers(t *testing.T) {
	s, p := read(nil)
	require.NoError(t, p.Err())
	assert.Equal(t, 3, s.counters)
	assert.Equal(t, "/front", s.door)
	assert.Equal(t, pulumi.String("example.com/shop:1.0.0"), s.image)
	assert.Nil(t, s.own)
	assert.Nil(t, s.token)
	assert.Empty(t, p.Warnings())
}

func TestValuesLand(t *testing.T) {
	s, p := read(map[string]string{
		"target": "docker", "name": " corner ", "color": "blue", "open": "true", "counters": " 9 ", "share": "1", "door": "-",
		"keys": `["192.0.2.0/24","2001:db8::/32"]`, "env": `{"A":"b","N":1e3,"T":true}`, "size": `{"limits":{"memory":"4Gi"},"requests":{"cpu":1}}`,
		"image": "example.com/shop@sha256:0123456789012345678901234567890123456789012345678901234567890123", "own": "own:2", "token": "long enough", "password": "p",
	})
	require.NoError(t, p.Err())
	assert.Equal(t, room.DockerHost, s.target)
	assert.Equal(t, "corner", s.name)
	assert.Equal(t, "blue", s.color)
	assert.True(t, s.open)
	assert.Equal(t, 9, s.counters)
	assert.Equal(t, 1.0, s.share)
	assert.Empty(t, s.door)
	assert.Equal(t, []string{"192.0.2.0/24", "2001:db8::/32"}, s.keys)
	assert.Equal(t, map[string]string{"A": "b", "N": "1e3", "T": "true"}, s.env, "numbers stay as they were written")
	assert.Equal(t, "4Gi", s.size.Limits.Memory.String())
	assert.Equal(t, "1Gi", s.size.Requests.Memory.String(), "keys left out keep their defaults")
	assert.Contains(t, s.image, "sha256")
	assert.Equal(t, pulumi.String("own:2"), s.own)
	assert.True(t, pulumi.IsSecret(s.token.(pulumi.StringOutput)))
	assert.Contains(t, p.Warnings(), "color: blue fades")
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ key, value, says string }{
		{"naem", "x", "naem: no such setting; did you mean name? `pulumi config rm naem` removes it"},
		{"name", " ", "name: it is not set: `set name`"},
		{"color", "green", `color: "green" is not one of red, blue`},
		{"color", "", `color: "" is not one of red, blue`},
		{"open", "maybe", `open: "maybe" is neither true nor false`},
		{"counters", "10", `counters: "10" is out of range: set a whole number from 1 to 9`},
		{"counters", "1.5", `counters: "1.5" is out of range`},
		{"seats", "3", `seats: "3" is out of range: set a whole number from 5 to 9, or 0 for none`},
		{"motto", "sell", "motto: it has an effect only while open is true: see to that, or `pulumi config rm motto`"},
		{"size", `{"limits":{"memory":"512m"}}`, `size.limits.memory: "512m" is thousandths of a byte, did you mean 512Mi?`},
		{"size", `{"limits":{"memory":512}}`, `size.limits.memory: "512" is less than 1M, did you mean 512Mi?`},
		{"size", `{"limits":{"memory":"2Ei"}}`, `size.limits.memory: "2Ei" is more than 1Pi`},
		{"size", `{"limits":{"cpu":"500Mi"}}`, `size.limits.cpu: "500Mi" is more than 192 cores, did you mean 500m?`},
		{"size", `{"requests":{"cpu":"1u"}}`, `size.requests.cpu: "1u" is less than 1m`},
		{"store", "20GB", `store: "20GB" is not an amount: write e.g. 500m for CPU, 512Mi or 2Gi for memory and storage, did you mean 20Gi?`},
		{"image", "acme/cloth:16.2", `image: "acme/cloth:16.2" has Cloth 16.2: name an image with Cloth 17`},
		{"image", "acme/suit:2.0-c16", `image: "acme/suit:2.0-c16" has Cloth 16`},
		{"color", "red\xff", "color: the value is no text"},
		{"share", "NaN", `share: "NaN" is not a fraction`},
		{"door", "front", `door: "front" is not a path`},
		{"door", "/a b", `door: "/a b" is not a path`},
		{"keys", "10.0.0.0/8", `keys: "10.0.0.0/8" is not a list of strings`},
		{"keys", `["10.0.0.1/8"]`, `keys: "10.0.0.1/8" has bits set beyond its prefix: write 10.0.0.0/8`},
		{"env", `{"a b":"c"}`, "env.a b: the name cannot be a variable"},
		{"env", `{"A":["c"]}`, "env.A: the value is not a string"},
		{"env", `{"OWN":"c"}`, "env.OWN: the program sets it"},
		{"env", `{} {}`, "env: it is not an object of strings"},
		{"store", "5 GB", `store: "5 GB" is not an amount`},
		{"store", "1e999999999", `store: "1e999999999" is not an amount`}, // would be computed for minutes
		{"store", "1Mi", `store: "1Mi" is too small, nothing fits: set at least 1Gi`},
		{"size", `{"limits":{"memory":"32Mi"},"requests":{"memory":"32Mi"}}`, "size: 32Mi is too small: set at least 64Mi"},
		{"size", `{"limits":{"memory":"lots"}}`, `size.limits.memory: "lots" is not an amount`},
		{"size", `{"limits":{"gpu":"1"}}`, "size.limits.gpu: no such key: use cpu or memory"},
		{"size", `{"limit":{"cpu":"1"}}`, "size.limit: no such key: use requests or limits"},
		{"size", `{"limits":4}`, "size.limits: 4 is not an object: give cpu and memory"},
		{"size", `{"requests":{"cpu":"3"}}`, "size: requests.cpu 3 is above limits.cpu 2"},
		{"size", `4`, `size: "4" is not an object`},
		{"image", "shop", `image: "shop" has no tag and no digest: name a version, e.g. shop:1.2.3`},
		{"image", "", `image: "" is not an image reference`},
		{"token", "abc", "token: it is too short"},
		{"password", "p", "password: it has no meaning with target kubernetes: `pulumi config rm password` removes it"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			_, p := read(map[string]string{c.key: c.value})
			require.Equal(t, 1, p.Len(), "%v", p.Err())
			assert.Contains(t, p.Err().Error(), c.says)
		})
	}
}

// TestAValueThatCannotBeReadLeavesTheDefault, so that checks find no second fault in it.
func TestAValueThatCannotBeReadLeavesTheDefault(t *testing.T) {
	s, p := read(map[string]string{"counters": "none", "open": "true", "size": `{"limits":{"memory":"lots"},"requests":{"cpu":"0"}}`})
	assert.Equal(t, 2, p.Len(), "%v", p.Err())
	assert.Equal(t, 3, s.counters)
	assert.Equal(t, "1", s.size.Requests.CPU.String())
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, set := newShop()
	p := set.Read(map[string]string{"color": "green", "counters": "1", "open": "true", "typo": "", "token": "tok"}, nil)
	assert.Equal(t, 6, p.Len(), "%v", p.Err())
	message := "\n" + p.Err().Error()
	for _, key := range []string{"color", "counters", "typo", "name"} {
		assert.Contains(t, message, "\n"+key+": ")
	}
	assert.Contains(t, message, "\ntoken: the value is stored in plain text: set it again with `pulumi config set --secret token`")
	assert.NotContains(t, message, "tok is")
}

// TestWhatATagTells of the product's version, and what it does not.
func TestWhatATagTells(t *testing.T) {
	for image, warns := range map[string]bool{
		"cloth:17": false, "cloth:17.4-slim": false, "example.com:5000/acme/cloth:v17.0.1": false, "suit:2.0-c17": false, "suit:2.0-c17.4": false,
		"suit:17": true, "cloth:latest": true, "example.com/shop:1.0.0": false, // the default
		"cloth@sha256:0123456789012345678901234567890123456789012345678901234567890123": true,
	} {
		_, p := read(map[string]string{"image": image})
		require.NoError(t, p.Err(), image)
		assert.Equal(t, warns, len(p.Warnings()) == 1, "%s: %v", image, p.Warnings())
	}
}

func TestAnEmptyTextIsCheckedWhereItIsNoDefault(t *testing.T) {
	_, p := read(map[string]string{"open": "true", "motto": ""})
	assert.ErrorContains(t, p.Err(), "motto: say something")
	s, p := read(map[string]string{"open": "true", "motto": "sell", "seats": "0"})
	require.NoError(t, p.Err())
	assert.Equal(t, "sell", s.motto)
}

// TestDefaultsThatTheCommandLinePasses mean nothing, wherever the stack runs.
func TestDefaultsThatTheCommandLinePasses(t *testing.T) {
	_, p := read(map[string]string{"target": "docker", "store": "5Gi", "password": "", "size": `{"limits":{"memory":"2Gi","cpu":"2"},"requests":{"cpu":"1","memory":"1Gi"}}`})
	require.NoError(t, p.Err())
	for _, key := range []string{"store", "size", "password"} {
		assert.False(t, p.Meant(key), key)
	}
	_, p = read(map[string]string{"target": "docker", "store": "6Gi"})
	assert.ErrorContains(t, p.Err(), "store: it has no meaning with target docker")
	_, p = read(map[string]string{"target": "moon", "password": "p"})
	assert.Equal(t, 1, p.Len(), "nobody knows what has a meaning there: %v", p.Err())
}

// TestMistakesOfTheProgram stop it at once.
func TestMistakesOfTheProgram(t *testing.T) {
	var (
		n int
		s string
	)
	for name, declare := range map[string]func(*settings.Group){
		"declared twice":        func(g *settings.Group) { g.Text(&s, "a", ""); g.Text(&s, "a", "") },
		"without bounds":        func(g *settings.Group) { g.Int(&n, "a", "") },
		"bounds of a text":      func(g *settings.Group) { g.Text(&s, "a", "", settings.Between(1, 2)) },
		"elements of a text":    func(g *settings.Group) { g.Text(&s, "a", "", settings.Each(settings.CIDR)) },
		"a choice of numbers":   func(g *settings.Group) { g.Int(&n, "a", "", settings.Between(1, 2), settings.OneOf("1")) },
		"a least text":          func(g *settings.Group) { g.Text(&s, "a", "", settings.AtLeast(resource.MustParse("1"), "")) },
		"an undeclared setting": func(g *settings.Group) { g.Check(func(p *settings.Problems) { p.Value("b") }) },
	} {
		t.Run(name, func(t *testing.T) {
			target := room.Kubernetes
			set := settings.New(&target)
			assert.Panics(t, func() {
				declare(set.Group("", ""))
				set.Read(nil, nil)
			})
		})
	}
}

func TestSchema(t *testing.T) {
	_, set := newShop()
	schema, err := set.Schema()
	require.NoError(t, err)
	for _, want := range []string{
		"config:\n  target:\n    type: string\n    description: Where it is. One of kubernetes, docker.\n    default: kubernetes\n",
		"  name:\n    type: string\n    description: How it is called.\n    default: \"\"\n  color:", // the program says how it is set, where it has to be
		"  counters:\n    type: integer\n    description: Counters. 1 to 9 pieces.\n    default: 3\n",
		"  share:\n    type: string\n    description: Share of the market. 0 to 1.\n    default: \"0.25\"\n",
		"  keys:\n    type: array\n    items:\n      type: string\n    description: Who has a key.\n    default:\n      - 10.0.0.0/8\n",
		"description: The store room. At least 1Gi. Only with target kubernetes.\n",
		"description: Requests and limits of one clerk. Keys left out keep their defaults. Memory limit at least 64Mi.\n    default:\n      limits:\n        cpu: \"2\"\n        memory: 2Gi\n",
		"description: 'The password. Only with target docker. A secret: set it with --secret.'\n    default: \"\"\n",
	} {
		assert.Contains(t, schema, want)
	}
}

func TestReference(t *testing.T) {
	_, set := newShop()
	page := set.Reference()
	for _, want := range []string{
		"## Shop\n\nA shop.\n\n| setting |", "## Staff\n\nWho works there.\n",
		"| `name` | text | (required) |  | every | How it is called. |\n",
		"| `counters` | number | `3` | 1 to 9 pieces | every | Counters. |\n",
		"| `keys` | list | `[\"10.0.0.0/8\"]` |  | every |",
		"| `env` | variables |  |  | every |",
		"| `store` | amount | `5Gi` | at least 1Gi | kubernetes |",
		"| `size` | requests and limits | requests `1`, `1Gi`; limits `2`, `2Gi` | memory limit at least 64Mi |",
		"| `password` | text, **secret** |  |  | docker |",
	} {
		assert.Contains(t, page, want)
	}
	assert.Equal(t, strings.Count(page, "\n| `"), len(set.Settings()))
}

// A setting is one line: what the variable holds is the default, and the value lands in
// it.
func Example() {
	target, replicas := room.Kubernetes, 3
	set := settings.New(&target, room.Kubernetes)
	g := set.Group("Backend", "The API.")
	g.Int(&replicas, "backendReplicas", "API pods.", settings.Between(1, 100))

	problems := set.Read(map[string]string{"backendReplicas": "5"}, nil)
	fmt.Println(replicas, problems.Len())
	// Output: 5 0
}
