package rules

// DeadMansSwitch is the alert that fires for as long as monitoring works.
const DeadMansSwitch = "DeadMansSwitch"

// Options are what the rules depend on.
type Options struct {
	Watched Watched
	// CertificateNotAfter is when the edge's certificate expires, in Unix seconds;
	// 0 when the program does not know.
	CertificateNotAfter int64
}

// Render gives the rules file.
func (o Options) Render() (string, error) { return "", nil }
