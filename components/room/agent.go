package room

// AgentImage is that of the project's own agent, which a database, its poolers and the edge
// have beside them where an image of upstream's lacks a part.
const AgentImage = "docker.io/alphapulse/agent:0.1.0"
