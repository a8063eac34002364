package room

// Encryption says what a server asks of the connections of its clients.
type Encryption string

// The values of Encryption. Preferred is the way from one of the others to the other: what
// talks and what does not yet is served.
const (
	// Unencrypted offers no TLS.
	Unencrypted Encryption = "off"
	// Preferred takes connections with and without TLS.
	Preferred Encryption = "preferred"
	// Required refuses a client without TLS.
	Required Encryption = "required"
)

// Encryptions lists the values.
var Encryptions = []Encryption{Required, Preferred, Unencrypted}
